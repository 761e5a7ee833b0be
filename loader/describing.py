"""What a reader is told besides findings: files, notes, and why something is not loadable.

Zone: controller.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.errors import NotLoadable, SandboxError
from safe_load.formats.escape import visible
from safe_load.report import FileInfo

if TYPE_CHECKING:
    from safe_load.inside import Detonated, Extracted
    from safe_load.inventory import Inventory
    from safe_load.opened import Opened

_MOST_NAMES = 5


def files(stock: Inventory, extracted: Extracted, digests: dict[str, str]) -> list[FileInfo]:
    """Every file of the source, with its format as its bytes say where it was opened."""
    formats = {file.name: file.format for file in extracted.files}
    return [
        FileInfo(entry.path, entry.size, digests.get(entry.path), formats.get(entry.path, "text"))
        for entry in stock.entries
    ]


def require_loadable(stock: Inventory, opened: Opened, extracted: Extracted) -> None:
    """Raise what ended a room early, or NotLoadable for weights that cannot be read."""
    trouble = opened.trouble()
    read = {file.name: file for file in extracted.files}
    holds = 0
    for entry in stock.weights:
        file = read.get(entry.path)
        if file is None:
            if trouble is None:
                raise SandboxError(
                    f"what read the weights did not account for {visible(entry.path)}"
                )
            continue
        if file.status in ("not_loadable", "bomb") and (
            trouble is None or isinstance(trouble, NotLoadable)
        ):
            raise NotLoadable(file.reason or f"{visible(entry.path)} cannot be read")
        holds += len(file.tensors)
    if trouble is not None:
        raise trouble
    if holds == 0 and stock.weights:
        reasons = [file.reason for file in extracted.files if file.reason]
        raise NotLoadable(reasons[0] if reasons else f"{stock.source} holds no tensors")


def notes(extracted: Extracted, detonated: Detonated) -> list[str]:
    """Facts that are no findings: what was not there, what did not work, what does not fit."""
    found = [f"{visible(file.name)}: {note}" for file in extracted.files for note in file.notes]
    for file in detonated.files:
        if file.missing_classes:
            found.append(
                f"{visible(file.name)} uses classes that are not installed; stand-ins took their place: "
                + _some(file.missing_classes)
            )
        if not file.ok and file.error:
            found.append(f"{visible(file.name)}: its own library does not load it: {file.error}")
    found += [
        f"transformers: {step.step} failed: {step.error}"
        for step in detonated.steps
        if not step.ok and step.error
    ]
    fit = detonated.model
    for label, names in (
        ("are missing from the weights", fit.missing if fit else None),
        ("are not part of it", fit.unexpected if fit else None),
        ("have another shape", fit.mismatched if fit else None),
    ):
        if fit is not None and names is not None and names.count:
            found.append(
                f"of {fit.architecture}, {names.count} tensors {label}: {_some(names.names)}"
            )
    return found


def _some(names: list[str]) -> str:
    shown = ", ".join(visible(name, 200) for name in names[:_MOST_NAMES])
    return shown + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")
