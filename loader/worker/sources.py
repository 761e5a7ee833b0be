"""Bytes that lie somewhere: in the model file, in memory, or deflated in a zip. Zone: worker.

Nothing here maps or reads more than it is asked for, so that a file of any size costs a few
megabytes. Offsets and lengths are in bytes.
"""

from __future__ import annotations

import mmap
import os
import zlib
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of one read when something is streamed.
CHUNK = 1 << 20
#: The largest deflated storage that may be viewed in another order than its own.
MAX_INFLATED = 64 << 20


class Source:
    """Readable bytes of a known size. fd: the descriptor they can be copied from, or None."""

    __slots__ = ("fd", "size")

    def __init__(self, size: int, fd: int | None = None) -> None:
        self.size = size
        self.fd = fd

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Exactly those bytes. Raises RefusedError when they are not there."""
        raise NotImplementedError

    def buffer(self) -> mmap.mmap | bytes:
        """All of it, indexable, for a parser."""
        raise NotImplementedError


class FileSource(Source):
    """A regular file, open for reading."""

    __slots__ = ("_map", "fd")
    fd: int

    def __init__(self, fd: int) -> None:
        super().__init__(os.fstat(fd).st_size, fd)
        self._map: mmap.mmap | None = None

    def read(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0:
            part = os.pread(self.fd, length, offset)
            if not part:
                raise RefusedError(f"the file ends at byte {offset}, {length} bytes early")
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def buffer(self) -> mmap.mmap | bytes:
        if self.size == 0:
            return b""
        if self._map is None:
            self._map = mmap.mmap(self.fd, self.size, access=mmap.ACCESS_READ)
        return self._map

    def close(self) -> None:
        """Let go of the mapping and the descriptor."""
        if self._map is not None:
            self._map.close()
        os.close(self.fd)


class MemorySource(Source):
    """Bytes that a pickle carried in a form that had to be decoded."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self._data = data

    def read(self, offset: int, length: int) -> memoryview:
        return memoryview(self._data)[offset : offset + length]

    def buffer(self) -> bytes:
        return self._data


class DeflatedSource(Source):
    """A deflated member of a zip. Reading onward streams; reading backward starts over."""

    __slots__ = ("_at", "_data", "_file", "_inflater", "_offset", "_packed", "_pending", "_taken")

    def __init__(self, file: Span, offset: int, packed: int, size: int) -> None:
        super().__init__(size)
        self._file = file
        self._offset = offset
        self._packed = packed
        self._data: bytes | None = None
        self._rewind()

    def _rewind(self) -> None:
        self._inflater = zlib.decompressobj(-15)
        self._taken = 0  # packed bytes fed so far
        self._at = 0  # inflated bytes given so far
        self._pending: bytes | memoryview = b""

    def _next(self, limit: int) -> bytes:
        """At least one and at most `limit` further bytes. Raises RefusedError at the end."""
        while not self._inflater.eof:
            if not self._pending and self._taken < self._packed:
                step = min(CHUNK, self._packed - self._taken)
                self._pending = self._file.read(self._offset + self._taken, step)
                self._taken += step
            fed = self._pending
            try:
                data = self._inflater.decompress(fed, limit)
            except zlib.error as error:
                raise RefusedError(f"a deflated member is damaged: {error}") from error
            self._pending = self._inflater.unconsumed_tail
            if data:
                self._at += len(data)
                return data
            if not fed:
                break
        raise RefusedError("a deflated member is shorter than it says")

    def read(self, offset: int, length: int) -> bytes | memoryview:
        if self._data is not None:
            return memoryview(self._data)[offset : offset + length]
        if offset < self._at:
            self._rewind()
        while self._at < offset:
            self._next(min(CHUNK, offset - self._at))
        parts = []
        while length > 0:
            part = self._next(min(CHUNK, length))
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def buffer(self) -> bytes:
        if self._data is None:
            if self.size > MAX_INFLATED:
                raise bomb(
                    f"a deflated member of {self.size} bytes would have to be inflated into memory, "
                    f"more than {MAX_INFLATED}"
                )
            self._data = bytes(self.read(0, self.size))
        return self._data


class Span:
    """A run of bytes in a source."""

    __slots__ = ("length", "offset", "source")

    def __init__(self, source: Source, offset: int, length: int) -> None:
        self.source = source
        self.offset = offset
        self.length = length

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Those bytes of the span; the caller keeps within it."""
        return self.source.read(self.offset + offset, length)

    def chunks(self, offset: int, length: int) -> Iterator[bytes | memoryview]:
        """The same, a chunk at a time."""
        end = offset + length
        while offset < end:
            step = min(CHUNK, end - offset)
            yield self.read(offset, step)
            offset += step

    def whole(self) -> bytes:
        """All of it in memory."""
        return bytes(self.read(0, self.length))


def as_span(value: object) -> Span | None:
    """The span of a bytes-like value of a pickle, or None when it is no such value."""
    if isinstance(value, Span):
        return value
    if isinstance(value, (bytes, bytearray)):
        return Span(MemorySource(bytes(value)), 0, len(value))
    return None
