"""Does what a load produced differ from what the file's bytes say?

Zone: controller. A payload that edits the weights while they load shows up here and nowhere else.
What is exported is always what the bytes say; a difference tells that users of the file would
have got something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from safe_load.export.extracted import Extracted, ExtractedFile, ExtractedTensor
from safe_load.rooms.worker_results import (
    Detonated,
    DetonatedFile,
    DetonatedTensor,
    read_detonated,
    read_extracted,
)

#: Differences that are told one by one; more of one file say nothing new.
MAX_DIFFERENCES = 1000

#: Formats whose tensors torch's own code holds, under no names that Python can list. What their programs may do
#: was read (worker/formats/torchscript.py), and the export holds what the bytes say.
_PROGRAMS = frozenset({"torchscript", "torchscript-data"})


@dataclass(frozen=True)
class Difference:
    """One tensor that differs. tensor: its name, hostile text. detail: one sentence."""

    file: str
    tensor: str
    kind: Literal["missing", "added", "shape", "dtype", "bytes"]
    detail: str


def compare(
    extracted: Extracted | object, detonated: Detonated | object, *, computed: bool = False
) -> list[Difference]:
    """The differences of the files that both stages read, at most MAX_DIFFERENCES of each file.

    computed: whether the room had the packages that the pickles name. Their objects compute and keep arrays
    when they are used (HDBSCAN's outlier_scores_), so that arrays which the bytes do not hold are none of the file's.

    Takes what the stages sent back, decoded JSON or already typed. Raises ValueError when it is
    not that. A file that did not load, in either stage, gives no differences: its failure is a
    fact of its own.
    """
    if not isinstance(extracted, Extracted):
        extracted = read_extracted(extracted)
    if not isinstance(detonated, Detonated):
        detonated = read_detonated(detonated)
    produced = {file.name: file for file in detonated.files if file.ok}
    return [
        difference
        for file in extracted.files
        if file.status == "ok" and file.name in produced and file.format not in _PROGRAMS
        for difference in _of_file(file, produced[file.name])[:MAX_DIFFERENCES]
        if not (computed and difference.kind == "added" and _holds_arrays(file))
    ]


def _holds_arrays(file: ExtractedFile) -> bool:
    """Whether what a file holds are arrays of numpy, and no tensors."""
    return all(tensor.kind == "numpy" for tensor in (*file.tensors, *file.left))


def _of_file(said: ExtractedFile, produced: DetonatedFile) -> list[Difference]:
    written = {tensor.name: tensor for tensor in said.tensors}
    # What was put together of several files is not what loading one of them gives: `left` is.
    expected = {tensor.path or tensor.name: tensor for tensor in said.tensors if not tensor.made}
    expected |= {tensor.name: tensor for tensor in said.left}
    # A tied tensor that is written once: its other names stand for it.
    aliases = set()
    for names in said.tied if not said.left else ():
        one = next((written[name] for name in names if name in written), None)
        if one is not None and not one.made:
            aliases |= set(names) - written.keys()
            expected.update(dict.fromkeys(aliases.intersection(names), one))
    actual = {tensor.name: tensor for tensor in produced.tensors}
    differences = []
    for name, tensor in expected.items():
        if name in actual:
            differences += _of_tensor(said.name, tensor, actual[name])
        elif not produced.truncated and not (said.format == "safetensors" and name in aliases):
            # In safetensors an alias is only metadata, for the library that ties them again.
            detail = f"The file holds the tensor {name!r}, but loading it does not give it."
            differences.append(Difference(said.name, name, "missing", detail))
    for name in sorted(actual.keys() - expected.keys()):
        detail = f"Loading the file gives a tensor {name!r} that its bytes do not hold."
        differences.append(Difference(said.name, name, "added", detail))
    return differences


def _of_tensor(file: str, said: ExtractedTensor, actual: DetonatedTensor) -> list[Difference]:
    name = actual.name
    if actual.dtype != said.torch_dtype:
        detail = (
            f"Loading gives {name!r} the type {actual.dtype}, its bytes say {said.torch_dtype}."
        )
        return [Difference(file, name, "dtype", detail)]
    shape = said.shape if said.torch_shape is None else said.torch_shape
    if actual.shape != shape:
        detail = (
            f"Loading gives {name!r} the shape {list(actual.shape)}, its bytes say {list(shape)}."
        )
        return [Difference(file, name, "shape", detail)]
    if said.crc32 is not None and actual.crc32 is not None and said.crc32 != actual.crc32:
        detail = f"Loading gives {name!r} other numbers than its bytes hold."
        return [Difference(file, name, "bytes", detail)]
    return []
