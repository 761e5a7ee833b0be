"""The bytes that the nodes of a cleared file name. Zone: the caller's process.

They are mapped privately: what is written to them is this process's own, and ends with it.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import msgspec
from safe_load.core import typed
from safe_load.core.errors import NotLoadable

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.export.structure import Structure

#: Bytes up to which a storage is copied, so that it can be resized as any other.
SMALL = 1 << 20


class _Entry(msgspec.Struct):
    data_offsets: tuple[int, int]


class Stored:
    """map_location: as torch.load takes it."""

    def __init__(self, folder: Path, structure: Structure, map_location: object = None) -> None:
        self.map_location = map_location
        self.places = [place for _, place in structure.storages]
        self._sizes = [size for size, _ in structure.storages]
        (path,) = folder.glob("*.safetensors")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = typed.decode(file.read(length), dict[str, msgspec.Raw])
            header.pop("__metadata__", None)
            self._begins = {
                name: typed.decode(entry, _Entry).data_offsets[0] + 8 + length
                for name, entry in header.items()
            }
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def bytes_of(self, number: int) -> memoryview:
        """The bytes of that storage, which may be written to."""
        try:
            begin, size = self._begins[str(number)], self._sizes[number]
        except (KeyError, IndexError):
            raise NotLoadable(f"the cleared copy has no storage {number}") from None
        if begin + size > len(self._map):
            raise NotLoadable(f"the cleared copy has not all of storage {number}")
        return memoryview(self._map)[begin : begin + size]
