"""Numbers and runs of bytes of a binary file, one after the other, never past its end. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File

_AHEAD = 64 << 10


class Cursor:
    """A place in a file. position: of the next byte; end: where the part that is read ends."""

    __slots__ = ("_at", "_window", "end", "file", "position")

    def __init__(self, file: File, position: int = 0, end: int | None = None) -> None:
        self.file = file
        self.position = position
        self.end = file.size if end is None else end
        self._window = b""
        self._at = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self.position >= self.end

    def take(self, length: int) -> bytes:
        """The next bytes. Raises RefusedError when they are not there."""
        after = self._after(length)
        start = self.position - self._at
        if start < 0 or start + length > len(self._window):
            if length > _AHEAD:
                data = self.file.read(self.position, length)
                self.position = after
                return data
            self._at, start = self.position, 0
            self._window = self.file.read(self._at, min(_AHEAD, self.end - self._at))
        self.position = after
        return self._window[start : start + length]

    def skip(self, length: int) -> None:
        """Leave the next bytes unread. Raises RefusedError when they are not there."""
        self.position = self._after(length)

    def number(self, size: int, order: str = "little") -> int:
        """The next `size` bytes as a natural number."""
        return int.from_bytes(self.take(size), order)  # type: ignore[arg-type]

    def varint(self) -> int:
        """A number as protocol buffers write it."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise RefusedError(f"the number before byte {self.position} is too long")

    def _after(self, length: int) -> int:
        after = self.position + length
        if length < 0 or after > self.end:
            raise RefusedError(
                f"the file ends early: {length} bytes at byte {self.position} are missing"
            )
        return after
