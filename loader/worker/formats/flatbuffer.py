"""Reading what is needed of FlatBuffers: tables, vectors and texts, each checked against its bounds.

Zone: worker. The format is that of https://flatbuffers.dev/internals.
"""

from __future__ import annotations

import struct

from safe_load.worker.refusal import RefusedError

MAX_VECTOR = 1_000_000
Buffer = bytes | memoryview


class Table:
    """One table. data: the whole buffer; at: where the table lies in it. Raises RefusedError at each step
    that leads out of the buffer."""

    __slots__ = ("_at", "_data", "_fields")

    def __init__(self, data: Buffer, at: int) -> None:
        self._data = data
        self._at = at
        table = at - _number(data, at, 4, signed=True)
        size = _number(data, table, 2)
        if size < 4 or size % 2 or table + size > len(data):
            raise RefusedError("its directory lies outside of it")
        self._fields = [_number(data, table + 4 + 2 * i, 2) for i in range((size - 4) // 2)]

    def has(self, field: int) -> bool:
        """Whether the field was written."""
        return field < len(self._fields) and self._fields[field] != 0

    def number(self, field: int, size: int) -> int:
        """A number, 0 where it was not written."""
        if not self.has(field):
            return 0
        return _number(self._data, self._at + self._fields[field], size, signed=True)

    def table(self, field: int) -> Table | None:
        """A table that the field points to."""
        return Table(self._data, self._target(field)) if self.has(field) else None

    def text(self, field: int) -> bytes:
        """A text, or a vector of bytes."""
        if not self.has(field):
            return b""
        at = self._target(field)
        size = _number(self._data, at, 4)
        if at + 4 + size > len(self._data):
            raise RefusedError("a text of its directory lies outside of it")
        return bytes(self._data[at + 4 : at + 4 + size])

    def place(self, field: int) -> tuple[int, int]:
        """Where a vector of bytes lies in the buffer, and how many there are."""
        if not self.has(field):
            return 0, 0
        at = self._target(field)
        size = _number(self._data, at, 4)
        if at + 4 + size > len(self._data):
            raise RefusedError("a part of its numbers lies outside of it")
        return at + 4, size

    def numbers(self, field: int, kind: str) -> list[float]:
        """A vector of numbers. kind: as struct calls them, e.g. "i", "q", "f"."""
        if not self.has(field):
            return []
        at = self._target(field)
        width, count = struct.calcsize(kind), _number(self._data, at, 4)
        if count > MAX_VECTOR or at + 4 + width * count > len(self._data):
            raise RefusedError("a list of its directory lies outside of it")
        return list(struct.unpack_from(f"<{count}{kind}", self._data, at + 4))

    def tables(self, field: int) -> list[Table]:
        """A vector of tables."""
        if not self.has(field):
            return []
        at = self._target(field)
        count = _number(self._data, at, 4)
        if count > MAX_VECTOR or at + 4 + 4 * count > len(self._data):
            raise RefusedError("a list of its directory lies outside of it")
        places = (at + 4 + 4 * index for index in range(count))
        return [Table(self._data, place + _number(self._data, place, 4)) for place in places]

    def _target(self, field: int) -> int:
        place = self._at + self._fields[field]
        return place + _number(self._data, place, 4)


def root(data: Buffer, at: int = 0) -> Table:
    """The table that a buffer begins with."""
    return Table(data, at + _number(data, at, 4))


def _number(data: Buffer, at: int, size: int, *, signed: bool = False) -> int:
    if at < 0 or at + size > len(data):
        raise RefusedError("its directory lies outside of it")
    return int.from_bytes(data[at : at + size], "little", signed=signed)
