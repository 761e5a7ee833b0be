"""Tokenizers that a room makes of others, which are not exported as they are.

Zone: controller. What the room wrote is bounded here and hostile still: it is not read here, but shown
to the room that writes configuration anew (`rewriting`), as any tokenizer is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec
from safe_load.core import typed
from safe_load.core.errors import Interrupted, SandboxError
from safe_load.core.escape import visible
from safe_load.rewrite import selection
from safe_load.worker.rewrite import tokenizer_json

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.export.staging import Staging
    from safe_load.sandbox.backends.interface import RoomResult
    from safe_load.sources.inventory import Entry, Inventory

_MOST_FOLDERS = 8


class _Folder(msgspec.Struct, frozen=True):
    error: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


class _Said(msgspec.Struct, frozen=True):
    folders: Annotated[list[_Folder], msgspec.Meta(max_length=_MOST_FOLDERS)]


@dataclass(frozen=True)
class Made:
    """A file that the room wrote. identity: its device and inode."""

    place: Path
    identity: tuple[int, int]


@dataclass(frozen=True)
class Converted:
    """tokenizers: by folder, the files made of its tokenizer, none where that did not succeed;
    notes: why not; room: how it ended, None when there was none."""

    tokenizers: dict[str, dict[str, Made]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    room: RoomResult | None = None

    def trouble(self) -> BaseException | None:
        """Why nothing that any room said can be relied on. A tokenizer that does not convert, or takes
        too long to, is no such thing: then it is missing, and a note says so."""
        causes: dict[str, type[BaseException]] = {
            "broken": SandboxError,
            "interrupted": Interrupted,
        }
        if self.room is None or self.room.status not in causes:
            return None
        return causes[self.room.status](f"converting the tokenizer: {self.room.reason}")


class Conversion:
    """What a room shall convert. folders: each with the files that it needs; outputs: descriptors on
    two empty files for each, in the export's folder until `discard`; limit: the size of each."""

    limit = tokenizer_json.MAX_BYTES

    def __init__(self, folders: dict[str, list[Entry]], staging: Staging) -> None:
        self.folders = dict(list(folders.items())[:_MOST_FOLDERS])
        self._beyond = list(folders)[_MOST_FOLDERS:]
        self._staging = staging
        self._names = [f"safe-load.conversion.{number}" for number in range(2 * len(self.folders))]
        self.outputs = tuple(map(staging.open_output, self._names))

    @classmethod
    def of(cls, inventory: Inventory, staging: Staging) -> Conversion | None:
        """What is to be converted of this source, None if nothing is."""
        folders = selection.to_convert(inventory)
        return cls(folders, staging) if folders else None

    def read(self, room: RoomResult) -> Converted:
        """What the room made. Its worker is dead."""
        converted = Converted({folder: {} for folder in self._beyond}, room=room)
        if self._beyond:
            converted.notes.append(
                f"the tokenizers of {_MOST_FOLDERS} folders were converted, the limit for one load"
            )
        reasons = self._reasons(room)
        for number, (folder, reason) in enumerate(zip(self.folders, reasons, strict=True)):
            made = {} if reason else self._made(number)
            converted.tokenizers[folder] = made
            if not made:
                why = reason or "the conversion gave no file"
                where = visible(f"{folder}/" if folder else "its tokenizer")
                converted.notes.append(
                    f"{where}: no tokenizer was exported, because it could not be converted to "
                    f"tokenizer.json: {visible(why)}"
                )
        return converted

    def discard(self) -> None:
        """Remove what the room made. Call it once, when nobody reads it any more."""
        for name in self._names:
            self._staging.discard(name)

    def _reasons(self, room: RoomResult) -> list[str | None]:
        """Why each did not succeed; None for one that did."""
        if room.status != "ok":
            return [room.reason or room.status] * len(self.folders)
        try:
            said = typed.convert(room.value, _Said)
        except (msgspec.ValidationError, RecursionError) as error:
            return [f"the room's result is malformed: {error}"] * len(self.folders)
        if len(said.folders) != len(self.folders):
            return ["the room's result does not mention this tokenizer"] * len(self.folders)
        return [folder.error for folder in said.folders]

    def _made(self, number: int) -> dict[str, Made]:
        """The files made of one folder's tokenizer, none when either is empty or too large."""
        from safe_load.worker.convert.tokenizer import WRITTEN  # noqa: PLC0415 - two names

        made: dict[str, Made] = {}
        for at, name in enumerate(WRITTEN, 2 * number):
            status = os.fstat(self.outputs[at])
            if not 0 < status.st_size <= self.limit:
                return {}
            # The next room's user may be another; the folder is closed to everybody else.
            os.fchmod(self.outputs[at], 0o644)
            place = self._staging.path / self._names[at]
            made[name] = Made(place, (status.st_dev, status.st_ino))
        return made
