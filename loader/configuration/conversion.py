"""Tokenizers that a room makes of others, which are not exported as they are.

Zone: controller. What the room wrote is bounded here and hostile still: `tokenizer_files` writes it
anew as it does with any tokenizer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec
from safe_load.configuration import folder_files, tokenizer_json
from safe_load.errors import SafeLoadError, SandboxError
from safe_load.formats.escape import visible

if TYPE_CHECKING:
    from safe_load.export import Staging
    from safe_load.inventory import Entry, Inventory
    from safe_load.sandbox.backends.interface import RoomResult

_MOST_FOLDERS = 8


class _Folder(msgspec.Struct, frozen=True):
    error: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


class _Said(msgspec.Struct, frozen=True):
    folders: Annotated[list[_Folder], msgspec.Meta(max_length=_MOST_FOLDERS)]


@dataclass(frozen=True)
class Converted:
    """tokenizers: by folder, the files made of its tokenizer, none where that did not succeed;
    notes: why not; room: how it ended, None when there was none."""

    tokenizers: dict[str, dict[str, bytes]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    room: RoomResult | None = None

    def trouble(self) -> SafeLoadError | None:
        """Why nothing that any room said can be relied on. A tokenizer that does not convert, or takes
        too long to, is no such thing: then it is missing, and a note says so."""
        if self.room is not None and self.room.status in ("broken", "interrupted"):
            return SandboxError(f"converting the tokenizer: {self.room.reason}")
        return None


class Conversion:
    """What a room shall convert. folders: each with the files that it needs; outputs: descriptors on
    two empty files for each, in the export's folder until `read`; limit: the size of each."""

    limit = tokenizer_json.MAX_BYTES

    def __init__(self, folders: dict[str, list[Entry]], staging: Staging) -> None:
        self.folders = dict(list(folders.items())[:_MOST_FOLDERS])
        self._beyond = list(folders)[_MOST_FOLDERS:]
        self._staging = staging
        self._names = [f"safe-load.conversion.{number}" for number in range(2 * len(self.folders))]
        self.outputs = tuple(map(staging.open_output, self._names))

    @classmethod
    def of(cls, stock: Inventory, staging: Staging) -> Conversion | None:
        """What is to be converted of this source, None if nothing is."""
        folders = folder_files.to_convert(stock)
        return cls(folders, staging) if folders else None

    def read(self, room: RoomResult) -> Converted:
        """What the room made. Its worker is dead."""
        converted = Converted({folder: {} for folder in self._beyond}, room=room)
        if self._beyond:
            converted.notes.append(
                f"of {_MOST_FOLDERS} folders the tokenizers were converted, no more"
            )
        try:
            reasons = self._reasons(room)
            for number, (folder, reason) in enumerate(zip(self.folders, reasons, strict=True)):
                made = {} if reason else self._made(number)
                converted.tokenizers[folder] = made
                if not made:
                    why = reason or "nothing came of it"
                    where = visible(f"{folder}/" if folder else "its tokenizer")
                    converted.notes.append(
                        f"{where}: no tokenizer was exported, as it could not be converted to "
                        f"tokenizer.json: {visible(why)}"
                    )
        finally:
            for name in self._names:
                self._staging.discard(name)
        return converted

    def _reasons(self, room: RoomResult) -> list[str | None]:
        """Why each did not succeed; None for one that did."""
        if room.status != "ok":
            return [room.reason or room.status] * len(self.folders)
        try:
            said = msgspec.convert(room.value, _Said, strict=True)
        except (msgspec.ValidationError, RecursionError) as error:
            return [f"what the room said is no result: {error}"] * len(self.folders)
        if len(said.folders) != len(self.folders):
            return ["the room said nothing of it"] * len(self.folders)
        return [folder.error for folder in said.folders]

    def _made(self, number: int) -> dict[str, bytes]:
        """The files made of one folder's tokenizer, none when either is empty or too large."""
        from safe_load.worker.convert_tokenizer import WRITTEN  # noqa: PLC0415 - two names

        made: dict[str, bytes] = {}
        for name, output in zip(WRITTEN, self.outputs[2 * number :], strict=False):
            size = os.fstat(output).st_size
            if not 0 < size <= self.limit:
                return {}
            made[name] = os.pread(output, size, 0)
        return made
