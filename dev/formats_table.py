"""docs/formats.md, made from the registry of formats and the sentences here.

python -m dev.formats_table > docs/formats.md
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from safe_load.rooms.jobs import LIBRARIES
from safe_load.worker.formats import registry

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Format

#: Of each library that a room shows for formats: who maintains it, its advisories, why it is safe enough inside.
DEFENCE = {
    "numpy": (
        "the NumPy project (NumFOCUS)",
        "CVE-2019-6446 (object arrays are pickles), CVE-2021-33430, CVE-2021-34141, CVE-2021-41495, CVE-2021-41496",
        "gets arrays of bytes whose sizes were checked, and no file: none of these can be reached",
    ),
    "gguf": (
        "the llama.cpp project (ggml-org)",
        "none of its own; CVE-2024-23605 and CVE-2025-53630 are of llama.cpp's reader in C++",
        (
            "computes blocks of known sizes with numpy. Its reader of files runs only in the room that loads the model as "
            "a user would, and nothing of that is exported"
        ),
    ),
    "onnx": (
        "the ONNX project (LF AI & Data)",
        (
            "CVE-2022-25882, CVE-2024-27318, CVE-2026-27489, CVE-2026-34446, CVE-2026-34447 (external data that leaves "
            "the folder)"
        ),
        (
            "runs only in the room that loads the model as a user would, which holds one model's files and no secret. "
            "Values come from safe-load's own reader"
        ),
    ),
    "h5py": (
        "the h5py project (NumFOCUS), over libhdf5 of The HDF Group",
        "many of libhdf5: memory errors of its parser in C (for example CVE-2025-2153, CVE-2025-2310, CVE-2025-6269)",
        (
            "runs only in the room that loads the model as a user would. Values come from safe-load's own reader, so a "
            "payload that takes libhdf5 over is in a room that holds one model and exports nothing"
        ),
    ),
    "backports-zstd": (
        "Rogdham, the author of pyzstd, from whose code CPython made compression.zstd (PEP 784); over Meta's libzstd",
        "none of its own; CVE-2022-4899 and CVE-2021-24031 are of the program zstd",
        (
            "the code of the standard library of Python 3.14, for the versions before; later ones do not take it. It is "
            "asked for a bounded number of bytes at a time, with a bounded window, in a room that holds one model. "
            "libzstd is fuzzed all the time by OSS-Fuzz"
        ),
    ),
}
_HEAD = """\
# Formats

What safe-load reads, made from the registry by `dev/formats_table.py`. A file is told by its bytes, whatever its
name is. In a folder, the weights of the formats marked with * are exported where it holds no torch, pickle
or safetensors weights. A format that is not listed ends as "not judged".

"Weights" says what comes out as safetensors. "Hides" says what can run or reach out of the model's folder; safe-load
reports it. "Opened by" is what a trusting user calls: the second room calls it too, where the library is there.

| format | weights | hides | opened by |
|---|---|---|---|
"""
_LIBRARIES = """
## Libraries

`pip install 'safe-load[formats]'` installs them. Rooms show them where they are installed, and the controller never
imports them. A scan needs none of them to judge a file, but for what zstd packs. Where the values of a format take
one that is missing, the file is judged and not exported, and the message has this command.

| library | maintained by | advisories | why it is safe enough inside |
|---|---|---|---|
"""
_TAIL = """
## Measured on files of others

With `--depth static`, on 2026-11-29:

- of the 25 malicious files that the tests of picklescan 0.0.21 write, none is clean; its 9 honest files all are, and
  its 2 broken ones are not loadable. Later source archives of picklescan, and those of modelscan 0.8 and fickling
  0.1, hold no files;
- of the 95 files that modelaudit 0.2.54 brings for its tests, opened in rooms, no malicious one is clean, and no honest one is
  rejected. Of 5,100 files that its tests write, looked at in samples, these kinds were wrong, and no longer are: Core ML pipelines that link
  models elsewhere, layers of foreign classes, Keras settings that name `get_file`, a packed program given alone, and small
  graphs of TensorFlow 1 were clean; virtual datasets of the file itself, and links that stay in their archive, were findings.
  Texts that nothing reads as code (a command in a description or an asset) are clean here;
- 48 files of an attacker who reads this source (Keras Lambda layers in nested and escaped configurations, ONNX
  data and operators, MLflow loaders, Hydra targets in NeMo archives, torch.export packages, archives behind other
  files, links of HDF5, skops nodes, pipelines of diffusers): one was clean that should not be, a model_index.json of a class that
  nobody knows, and no longer is. Two skops files are clean: one says a key twice, of which its reader takes the harmless
  last one, and one names a class of a package that nobody has.

## What stays "not judged"

These formats may carry code, or their layout is not public and simple. A scan says so (SL507), and this is what helps:

| format | why | what helps |
|---|---|---|
| Caffe2 (`init_net.pb`, `predict_net.pb`) | operators of a net read files and run Python; the project ended in 2018 | convert the net to ONNX |
| R (`.rds`, `.RData`) | objects of which R evaluates some when they are used (CVE-2024-27322) | write the numbers as a table, or as safetensors |
| dlib (`.dat`) | no magic and no lengths: only the program that wrote it knows its types | convert it with that program |
| Torch 7 (`.t7`) | holds Lua functions | `torchfile` in a room of its own: `safe-load run` |
| TensorRT engines, compiled programs, llamafile | native code | the model that they were built of; a llamafile holds a GGUF |
| RAR, cabinet, cpio, lzip | no library of the standard ones opens them | unpack it, and scan the folder |
| chunks packed by Blosc as blosclz, snappy or with bits shuffled; HDF5 packed by szip, blosc or lz4 | judged, not exported; a note names the array | write it anew with gzip or zstd |
| CatBoost (`.cbm`) | judged; its trees are not exported: tables of its own version | `save_model(format="json")`, which any program reads |

## Formats of other packages

A package adds a format by an entry point of the group `safe_load.formats`. The docstring of
`loader/worker/formats/interface.py` says all that its author needs. The room imports it, shows the package and what
it requires, and asks it after those formats that have a magic of their own.
"""


def page() -> str:
    """The whole document."""
    rows = {_row(each): None for each in registry.FORMATS}
    libraries = [f"| {name} | {' | '.join(DEFENCE[name])} |" for name in LIBRARIES]
    lines = [*rows], libraries
    return _HEAD + "\n".join(lines[0]) + "\n" + _LIBRARIES + "\n".join(lines[1]) + "\n" + _TAIL


def _row(each: Format) -> str:
    star = "*" if each.foreign else ""
    called = each.called.removeprefix("a ").removeprefix("an ")
    cells = (f"{each.name}{star}: {called}", each.weights or "none", each.hides, each.loader)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
