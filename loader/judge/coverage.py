"""What a reader is told besides findings: files, notes, and why something is not loadable.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.core.errors import NotLoadable, SandboxError
from safe_load.core.escape import visible
from safe_load.core.report import FileInfo
from safe_load.judge.behaviour import finding
from safe_load.sources import weight_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import FileState, Finding
    from safe_load.export.extracted import Extracted, ExtractedFile
    from safe_load.rooms.results import RoomResults
    from safe_load.rooms.worker_results import Detonated
    from safe_load.sources.inventory import Entry, Inventory
    from safe_load.sources.shards import Promise

NOTHING_RAN = (
    "Depth static: every file was read as data, and nothing was run. What loading a file would do was not tried; "
    "--depth auto tries it"
)
#: Why a load leaves weights out.
COMES_SECOND = "other weights of its folder come first"
_MOST_NAMES = 5
_MOST_FINDINGS = 50
#: What lies where a download did not come to its end.
_UNFINISHED = ("git-lfs", "html", "empty")


def account(opened: Sequence[str], accounted: Sequence[str]) -> list[Finding]:
    """Judge whether the worker that opened the files says of each what came of it. Ours does; one
    that was taken over may say nothing."""
    return [
        finding(
            "SL601",
            f"The worker that opened {visible(name)} did not report the file's result",
            name,
        )
        for name in sorted(set(opened) - set(accounted))
    ]


def files(inventory: Inventory, extracted: Extracted, digests: dict[str, str]) -> list[FileInfo]:
    """Every file of the source, with its format as its bytes say and what came of it."""
    read = {file.name: file for file in extracted.files}
    return [
        FileInfo(
            entry.path,
            entry.size,
            digests.get(entry.path),
            *_accounted(inventory, entry, read.get(entry.path)),
        )
        for entry in inventory.entries
    ]


def _accounted(
    inventory: Inventory, entry: Entry, file: ExtractedFile | None
) -> tuple[str, FileState, str]:
    """Format, state and why."""
    if file is None:
        return "unknown", "not_judged", "the extract room ended before it read this file"
    state: FileState = file.state
    if entry.role == "left":
        return file.format, "left_out", COMES_SECOND
    if state == "not_judged" and not inventory.every and entry.role != "weights":
        state = "left_out"
    return file.format, state, file.why


def unjudged(inventory: Inventory, extracted: Extracted, *, complete: bool = True) -> list[Finding]:
    """Judge what may carry code and was not opened: for a scan, which speaks for all files. Of weights
    that are damaged, the end of the load says so. complete: whether the room that reads files came to
    its end, and so must have accounted for each; otherwise its own failure is the outcome."""
    if not inventory.every:
        return []
    weights = {entry.path for entry in inventory.weights}
    found = [
        finding(
            "SL507",
            f"{visible(file.name)} may carry code and was not judged: {file.why or 'its format is not known'}",
            file.name,
        )
        for file in extracted.files
        if file.state == "not_judged"
        and not (file.name in weights and file.status in ("not_loadable", "bomb"))
    ]
    if complete:
        read = {file.name for file in extracted.files}
        found += [
            finding(
                "SL507",
                f"{visible(entry.path)} may carry code and was not judged: the extract room did "
                "not account for this file",
                entry.path,
            )
            for entry in inventory.entries
            if entry.path not in read
        ]
    more = len(found) - _MOST_FINDINGS
    if more > 0:
        rest = f"{more} further files may carry code and were not judged; the report lists them"
        found = [*found[:_MOST_FINDINGS], finding("SL507", rest, inventory.source)]
    return found


def left_out(files: Sequence[FileInfo]) -> list[str]:
    """The note that names what a load neither opened nor exported, if there is such a file."""
    paths = [file.path for file in files if file.state == "left_out" and file.why != COMES_SECOND]
    if not paths:
        return []
    return [
        f"{len(paths)} files may carry code, were not opened and are not in the export: {_some(paths)}"
        if len(paths) > 1
        else f"{visible(paths[0])} may carry code, was not opened and is not in the export"
    ]


def require_loadable(inventory: Inventory, opened: RoomResults, extracted: Extracted) -> None:
    """Raise what ended a room early, or NotLoadable for weights that cannot be read. A scan of files
    that hold plain values, and no weights, is fine."""
    trouble = opened.trouble()
    read = {file.name: file for file in extracted.files}
    holds = 0
    for entry in inventory.weights:
        file = read.get(entry.path)
        if file is None:
            if trouble is None:
                raise SandboxError(
                    f"the extract room did not account for the weight file {visible(entry.path)}"
                )
            continue
        if _ends(entry, file, every=inventory.every) and (
            trouble is None or isinstance(trouble, NotLoadable)
        ):
            raise NotLoadable(file.reason or f"{visible(entry.path)} cannot be read")
        holds += len(file.tensors)
    if trouble is not None:
        raise trouble
    for promise in inventory.promises:
        if promise.stale and (absent := _absent(inventory, extracted, promise)):
            raise NotLoadable(
                f"{visible(promise.index)} names shards that are not there, and the shards that are there "
                f"lack {len(absent)} of its tensors ({_some(absent)}): download the model again"
            )
    if holds == 0 and inventory.weights and not inventory.every and not inventory.whole:
        reasons = [read[entry.path].reason for entry in inventory.weights if entry.path in read]
        raise NotLoadable(
            next(filter(None, reasons), None) or f"{inventory.source} holds no tensors"
        )


def _absent(inventory: Inventory, extracted: Extracted, promise: Promise) -> list[str]:
    """The tensors that an index names and none of the weights in its folder holds."""
    folder = promise.index.rpartition("/")[0]
    weights = {e.path for e in inventory.weights if e.path.rpartition("/")[0] == folder}
    held: set[str] = set()
    for file in extracted.files:
        if file.name in weights:
            held.update(tensor.path or tensor.name for tensor in file.tensors)
            held.update(*file.tied)
    return sorted(promise.names - held)


def _ends(entry: Entry, file: ExtractedFile, *, every: bool) -> bool:
    """Whether a file of weights that is none makes the whole source one that does not load. every: whether
    it is a scan of all files."""
    if file.status in ("not_loadable", "bomb"):
        return True
    if file.status != "unsupported":
        return False
    # What a server says in the place of a model ("Entry not found") is kept under the model's name.
    extension = f".{entry.path.rpartition('.')[2].lower()}"
    unfinished = file.format in _UNFINISHED or (
        file.format == "text" and extension in weight_names.EXTENSIONS
    )
    if every and file.state != "not_judged":  # a scan asks what a file may do, not for weights
        return unfinished
    # What stands in the place of a model, or is all that there is, was meant to be one.
    return entry.chosen or unfinished


def unkept(inventory: Inventory, extracted: Extracted) -> list[str]:
    """A note for each index that names tensors which its shards do not hold."""
    return [
        f"{visible(promise.index)} names {len(absent)} tensors that its shards do not hold: {_some(absent)}"
        for promise in inventory.promises
        if (absent := _absent(inventory, extracted, promise))
    ]


def notes(extracted: Extracted, detonated: Detonated) -> list[str]:
    """Facts that are no findings: what was not there, what did not work, what does not fit."""
    found = [f"{visible(file.name)}: {note}" for file in extracted.files for note in file.notes]
    for file in detonated.files:
        if file.missing_classes:
            found.append(
                f"{visible(file.name)} uses classes that are not installed; stubs took their place: "
                + _some(file.missing_classes)
            )
        if not file.ok and file.error:
            found.append(f"{visible(file.name)}: its usual loader failed: {file.error}")
    found += [
        f"transformers: {step.step} failed: {step.error}"
        for step in detonated.steps
        if not step.ok and step.error
    ]
    fit = detonated.model
    for label, names in (
        ("needs tensors that the weights do not hold", fit.missing if fit else None),
        ("has no place for tensors of the weights", fit.unexpected if fit else None),
        ("needs another shape of tensors", fit.mismatched if fit else None),
    ):
        if fit is not None and names is not None and names.count:
            found.append(
                f"{fit.architecture} {label} ({names.count}): {_some(names.names, names.count)}"
            )
    return found


def _some(names: list[str], count: int | None = None) -> str:
    """The first names, and how many more there are. count: of all, where names are not all."""
    shown = ", ".join(visible(name, 200) for name in names[:_MOST_NAMES])
    more = (len(names) if count is None else count) - min(len(names), _MOST_NAMES)
    return shown + (f" and {more} more" if more > 0 else "")
