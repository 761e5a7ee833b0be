"""Read weight files without running anything of them, and write their tensors as safetensors.

Zone: worker. Standard library only, so that it starts at once and needs a few megabytes for files
of any size. Every name and number that is returned is hostile.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from safe_load.worker import export, layout, safetensors_input, sniff, structure, walk
from safe_load.worker.callables import Allowlist, Ledger
from safe_load.worker.pickled import Reader
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.sources import FileSource, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.worker.layout import Entry, Layout

#: Bytes of output for each byte of the file when the caller sets no limit, and the least of it.
_GROWTH = 16
_LEAST_LIMIT = 64 << 20
_MAX_NOTES = 100
#: Formats for which unpickling is the way, and not one more thing to look at.
_PICKLED = {"pickle", "torch-zip"}


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Read each file and, where it has an output, lay out a safetensors file in it: all of it is written
    but the `runs`, bytes that lie in the file as they are wanted.

    argument: {"files": [{"path", "name", "output": index in `outputs` or null, "size_limit": bytes
    of the output, "structure": whether to tell how the tensors lay in it (see structure)}], "total_limit": bytes of all outputs together, "callables": patterns of ordinary
    callables (see callables.Allowlist), "fingerprint_budget": bytes to digest of each tensor, 0 for
    none}. Returns {"files": [...]}; a
    file that is not "ok" leaves its output empty. Raises OSError when a file cannot be opened or
    an output cannot be written, nothing for what a file holds.
    """
    allowlist = Allowlist(argument.get("callables", ()))
    budget = int(argument.get("fingerprint_budget", 0))
    left = int(argument.get("total_limit", sys.maxsize))
    results: list[dict[str, Any]] = []
    for file in argument["files"]:
        results.append(_extract(file, outputs, allowlist, budget, left))
        if file.get("output") is not None:
            left -= os.fstat(outputs[file["output"]]).st_size
    return {"files": results}


def _extract(
    file: dict[str, Any],
    outputs: Sequence[int],
    allowlist: Allowlist,
    budget: int,
    left: int,
) -> dict[str, Any]:
    ledger = Ledger(allowlist)
    output = None if file.get("output") is None else outputs[file["output"]]
    result: dict[str, Any] = {
        "name": file["name"],
        "format": "unknown",
        "status": "ok",
        "reason": None,
    }
    result |= {"tensors": [], "tied": [], "callables": [], "metadata": {}, "notes": [], "runs": []}
    if file.get("structure"):
        result["structure"] = None
    source = FileSource(os.open(file["path"], os.O_RDONLY | os.O_CLOEXEC))
    limit = min(left, file.get("size_limit") or max(_LEAST_LIMIT, _GROWTH * source.size))
    try:
        plan = _read(source, limit, ledger, result)
        if not plan.entries:
            result |= {"status": "no_tensors", "reason": f"{file['name']}: it holds no tensors"}
        elif output is not None:
            result["runs"] = export.write(plan, output, limit, budget)
        else:
            for entry in plan.entries:
                export.digest(entry, budget)
        result["tensors"] = [_row(entry) for entry in plan.entries]
        result["tied"] = plan.tied
        remarks = {e.name: e.remark for e in plan.entries if e.remark}
        result["metadata"] = dict(list(remarks.items())[:1000])
    except RefusedError as refusal:
        _refuse(result, refusal, output)
    except MemoryError:
        _refuse(result, bomb("it needs more memory than there is"), output)
    finally:
        source.close()
    result["callables"] = ledger.entries()
    if ledger.dropped:
        result["notes"].append(f"{ledger.dropped} further calls are not listed")
    return result


def _refuse(result: dict[str, Any], refusal: RefusedError, output: int | None) -> None:
    """Say so, and leave the output empty."""
    result |= {"status": refusal.status, "reason": f"{result['name']}: {refusal.reason}"}
    result |= {"tensors": [], "tied": [], "metadata": {}, "runs": []}
    if output is not None:
        os.ftruncate(output, 0)


def _read(source: FileSource, limit: int, ledger: Ledger, result: dict[str, Any]) -> Layout:
    """What the file holds, laid out. Sets the format and the notes. Raises RefusedError."""
    result["format"], called = sniff.sniff(source)
    notes: list[str] = result["notes"]
    if source.size == 0:
        raise RefusedError(f"it is {called}")
    reader = Reader(ledger)
    pickled = result["format"] in _PICKLED
    try:
        root = reader.read(Span(source, 0, source.size))
    except RefusedError as refusal:
        if pickled:
            result["format"] = _format_of_broken(source, reader, ledger)
            raise
        # Whatever else a file is, torch.load would try to unpickle it. No stream after all: what
        # looked like a name was chance, but a call was none.
        ledger.forget_names()
        if ledger.entries():
            notes.append(f"read as a pickle, it calls before it fails: {refusal.reason}")
    else:
        if not pickled and result["format"] != "text":
            notes.append("it is a complete pickle as well")
        else:
            result["format"] = reader.format
            plan = _layout_of(root, reader, limit, notes)
            if "structure" in result:
                result["structure"] = _structure(root, plan)
            return plan
    finally:
        if pickled:
            notes += reader.notes[:_MAX_NOTES]
    if result["format"] == "safetensors":
        plan, found = safetensors_input.read(source, limit)
        notes += found
        return plan
    raise RefusedError(f"it is {called}; weights are read from torch, pickle and safetensors files")


def _format_of_broken(source: FileSource, reader: Reader, ledger: Ledger) -> str:
    """The format of what does not unpickle: a pickle announces itself, or gets somewhere."""
    if reader.format == "pickle" and source.read(0, 1) not in b"\x80P" and not ledger.entries():
        return "unknown"
    return "zip" if reader.format == "pickle" and source.read(0, 2) == b"PK" else reader.format


def _layout_of(root: object, reader: Reader, limit: int, notes: list[str]) -> Layout:
    named = walk.named_tensors(root)
    torch = [(name, tensor) for name, tensor in named if tensor.kind == "torch"]
    if 0 < len(torch) < len(named):
        # Beside tensors, arrays are the state of a random generator or the like, and no weights.
        notes.append(f"{len(named) - len(torch)} numpy arrays beside the tensors are left out")
        named = torch
    plan = layout.plan(named, limit)
    if reader.defects:
        raise RefusedError(reader.defects[0])
    return plan


def _structure(root: object, plan: Layout) -> list[list[Any]] | None:
    # What is written as a view of another type is not what torch.load would give.
    plain = {e.name for e in plan.entries if not e.remark and e.shape == e.torch_shape}
    plain |= {alias for kept, *aliases in plan.tied if kept in plain for alias in aliases}
    named = reversed(walk.named_tensors(root))
    return structure.of(root, {id(tensor): name for name, tensor in named if name in plain})


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": entry.name,
        "dtype": entry.dtype,
        "shape": entry.shape,
        "bytes": entry.view.nbytes,
        "torch_dtype": entry.torch_dtype,
        "crc32": entry.crc32,
    }
    if entry.torch_shape != entry.shape:
        row["torch_shape"] = entry.torch_shape
    if entry.kind != "torch":
        row["kind"] = entry.kind
    return row
