"""Read weight files without running anything of them, and write their tensors as safetensors.

Zone: worker. Standard library only, so that it starts at once and needs a few megabytes for files
of any size. Every name and number that is returned is hostile.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from safe_load.worker.formats import registry
from safe_load.worker.formats.interface import File, Reading
from safe_load.worker.pickle_vm.callables import MAX_ENTRIES, Allowlist
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import FileSource, Span
from safe_load.worker.tensors import fingerprints, histograms, writing
from safe_load.worker.tensors.export_names import Choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.worker.formats.interface import Content
    from safe_load.worker.tensors.layout import Entry

#: Bytes of output for each byte of the file when the caller sets no limit, and the least of it.
_GROWTH = 16
_LEAST_LIMIT = 64 << 20
_MAX_NOTES = 100
#: Tensors of a file whose numbers are sampled: as many as a report lists.
MOST_HISTOGRAMS = 1000

#: Why a file is not judged whose reading ended in an exception that nobody foresaw.
PARSER_FAILED = "its reader failed"


class Wanted(NamedTuple):
    """What is told of each tensor: the fingerprint of so many bytes, and how its numbers are spread."""

    budget: int
    histograms: bool


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Read each file and, where it has an output, lay out a safetensors file in it: all of it is written
    but the `runs`, bytes that lie in the file as they are wanted.

    argument: {"files": [{"path", "name", "output": index in `outputs` or null, "size_limit": bytes
    of the output, "whole": whether the output is to hold all storages, for the nodes of `structure`, and no
    tensors by name, "parts": paths of further files in "files" that are read together with it}], "weights_of",
    "names", "keep": which tensors are exported (see export_names.Choice),
    "total_limit": bytes of all outputs together, "callables": names of ordinary
    callables and the shapes of their uses (see callables.Allowlist), "formats": what `registry.bring` takes, "fingerprint_budget": bytes to digest of each tensor, 0 for
    none, "histograms": whether to tell how the numbers of the first MOST_HISTOGRAMS tensors of each file are
    spread}. Returns {"files": [...]}; a
    file that is not "ok" leaves its output empty. Raises OSError when a file cannot be opened or
    an output cannot be written, nothing for what a file holds.
    """
    allowlist = Allowlist(argument.get("callables", {}))
    wanted = Wanted(
        int(argument.get("fingerprint_budget", 0)), bool(argument.get("histograms", False))
    )
    choice = Choice.of(argument)
    left = int(argument.get("total_limit", sys.maxsize))
    registry.bring(argument.get("formats", ()))
    paths = {file["name"]: file["path"] for file in argument["files"]}
    done: dict[str, dict[str, Any]] = {}
    # What describes other files comes first: it says what these are.
    for file in sorted(argument["files"], key=lambda file: not file.get("parts")):
        if file["name"] in done:
            continue
        parts = {name: paths[name] for name in file.get("parts") or ()}
        done |= _extract(file, parts, outputs, allowlist, choice, wanted, left)
        if file.get("output") is not None:
            left -= os.fstat(outputs[file["output"]]).st_size
    results = [done[file["name"]] for file in argument["files"]]
    _settle_claims(results)
    for result in results:
        del result["claims"]
    return {"files": results}


def _extract(
    file: dict[str, Any],
    parts: dict[str, str],
    outputs: Sequence[int],
    allowlist: Allowlist,
    choice: Choice,
    wanted: Wanted,
    left: int,
) -> dict[str, dict[str, Any]]:
    """What came of a file, and of those of its parts that were read with it, by name."""
    output = None if file.get("output") is None else outputs[file["output"]]
    result = _blank(file["name"])
    sources = [_open(path, number) for number, path in enumerate([file["path"], *parts.values()])]
    total = sum(source.size for source in sources)
    limit = min(left, file.get("size_limit") or max(_LEAST_LIMIT, _GROWTH * total))
    if output is None:  # it is judged and not exported
        choice = Choice()
    reading = Reading(
        allowlist, limit, registry.judge, bool(file.get("whole")), output is not None, choice
    )
    folder = f"{file['name'].rpartition('/')[0]}/".removeprefix("/")
    further: dict[str, dict[str, Any]] = {}
    try:
        if parts:
            reading.parts = {
                name.removeprefix(folder): File(name, Span(source, 0, source.size))
                for name, source in zip(parts, sources[1:], strict=True)
            }
        whole = Span(sources[0], 0, sources[0].size)
        content = registry.judge(File(file["name"], whole), reading)
        _take(content, result, output, limit, wanted)
        further = {
            folder + name: _part(folder + name, why, content.format, file["name"])
            for name, why in content.parts.items()
        }
    except RefusedError as refusal:
        _refuse(result, refusal, output)
    except MemoryError:
        _refuse(result, bomb("reading the file needs more memory than the room has"), output)
    except Exception as error:  # noqa: BLE001 - one file costs no other file its judgement
        _refuse(result, RefusedError(f"{PARSER_FAILED} ({type(error).__name__})"), output)
    finally:
        for source in sources:
            source.close()
    result |= {"callables": reading.callables[:MAX_ENTRIES], "notes": reading.notes[:_MAX_NOTES]}
    result |= {"carried": reading.carried, "claims": reading.claims}
    dropped = reading.dropped + len(reading.callables) - len(result["callables"])
    if dropped:
        result["notes"].append(f"{dropped} further calls are not listed")
    if reading.packages:
        result["packages"] = list(reading.packages)[:1000]
    return {**further, file["name"]: result}


def _open(path: str, number: int) -> FileSource:
    return FileSource(os.open(os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC), number)


def _blank(name: str) -> dict[str, Any]:
    """The result of a file of which nothing is known yet."""
    return {
        "name": name,
        "format": "unknown",
        "state": "not_judged",
        "why": "",
        "status": "ok",
        "reason": None,
        "tensors": [],
        "tied": [],
        "metadata": {},
        "runs": [],
        "left": [],
    }


def _part(name: str, why: str, format_: str, read_with: str) -> dict[str, Any]:
    """The result of a file that was read with another one. why: why not all of it was, or ""."""
    result = _blank(name) | {"format": format_, "status": "unsupported"}
    result |= {"state": "not_judged" if why else "opened", "why": why or f"read with {read_with}"}
    result["reason"] = f"{name}: it was read with {read_with}"
    return result | {"callables": [], "notes": [], "carried": [], "claims": []}


def _take(
    content: Content, result: dict[str, Any], output: int | None, limit: int, wanted: Wanted
) -> None:
    """Note what came of a file, and write its tensors. Raises RefusedError."""
    result |= {"format": content.format, "state": content.state, "why": content.why}
    plan, whole = content.plan, content.whole
    if whole is not None and output is not None:
        result["structure"] = {"storages": whole.table, "nodes": whole.nodes}
        result["runs"] = writing.write(whole.layout, output, limit, 0)
        output = None
        if plan is None or not plan.entries:
            return
    if plan is None or not plan.entries:
        if content.loads:
            result |= {
                "status": "no_tensors",
                "reason": f"{result['name']}: the file holds no tensors",
            }
        else:
            what = content.why if content.why.startswith("it is ") else f"it is {content.why}"
            lacks = content.lacks or f"{what}; no weights are read from a file of this format"
            result |= {"status": "unsupported", "reason": f"{result['name']}: {lacks}"}
        return
    if output is not None:
        result["runs"] = writing.write(plan, output, limit, wanted.budget)
    else:
        for entry in plan.entries:
            writing.digest(entry, wanted.budget)
    for entry in content.left:
        if entry.crc32 is None:
            writing.digest(entry, wanted.budget)
    result["tensors"] = [_row(entry) for entry in plan.entries]
    if wanted.histograms:
        for entry, row in zip(plan.entries[:MOST_HISTOGRAMS], result["tensors"], strict=False):
            row["histogram"] = histograms.of(entry)
    for row, entry in zip(
        result["tensors"][: fingerprints.MOST_SAMPLED], plan.entries, strict=False
    ):
        if entry.sample:
            row["sample"] = entry.sample
    result["left"] = [_row(entry) | {"name": entry.path} for entry in content.left]
    result["tied"] = plan.tied
    remarks = {e.name: e.remark for e in plan.entries if e.remark}
    result["metadata"] = dict(list(remarks.items())[:1000])


def _refuse(result: dict[str, Any], refusal: RefusedError, output: int | None) -> None:
    """Say so, and leave the output empty."""
    result |= {"status": refusal.status, "reason": f"{result['name']}: {refusal.reason}"}
    result |= {"format": refusal.format or result["format"], "why": refusal.reason}
    if result["format"] == "unknown" and refusal.status == "not_loadable":
        why = "the format is unknown: the first bytes match no known format, and the file is not a pickle"
        reason = f"{result['name']}: {why} ({refusal.reason})"
        result |= {"status": "unsupported", "why": why, "reason": reason}
    result |= {"state": refusal.state or "not_judged"}
    result.pop("structure", None)
    result |= {"tensors": [], "tied": [], "metadata": {}, "runs": [], "left": []}
    if output is not None:
        os.ftruncate(output, 0)


#: Of R, Torch 7, MATLAB, engines of TensorRT, pickles, and what is packed without a magic.
_OWN_READERS = (
    ".rds", ".rda", ".rdata", ".t7", ".mat", ".engine", ".plan", ".trt", ".pkl", ".pickle", ".p", ".joblib", ".dill",
    ".pt", ".pth", ".ckpt", ".br", ".sz", ".lzo", "init_net.pb", "predict_net.pb", ".so", ".dll", ".dylib", ".exe", ".whl",
)  # fmt: skip


def _settle_claims(results: list[dict[str, Any]]) -> None:
    """A file of bytes that mean nothing by themselves is data where another one of its folder, of a
    format that was judged, says that its numbers lie there."""
    by_name = {result["name"]: result for result in results}
    for result in results:
        folder = result["name"].rpartition("/")[0]
        for claim in result["claims"]:
            other = by_name.get(f"{folder}/{claim}".removeprefix("/"))
            if other is None or other["format"] != "unknown" or other["callables"]:
                continue
            if claim.lower().endswith(_OWN_READERS):
                continue  # whatever a neighbour says, its own program opens a file of such a name
            other |= {"format": "raw", "state": "data", "status": "unsupported"}
            other["why"] = f"raw numbers of {result['name']}"
            other["reason"] = f"{other['name']}: the file holds the {other['why']}"


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": entry.name,
        "dtype": entry.dtype,
        "shape": entry.shape,
        "bytes": entry.view.nbytes,
        "torch_dtype": entry.torch_dtype,
        "crc32": entry.crc32,
    }
    if entry.path != entry.name:
        row["path"] = entry.path
    if entry.torch_shape != entry.shape:
        row["torch_shape"] = entry.torch_shape
    if entry.made:
        row["made"] = True
    if entry.member:
        row["member"] = entry.member
    if entry.kind != "torch":
        row["kind"] = entry.kind
    return row
