"""Bytes that lie somewhere: in the model file, in memory, or deflated in a zip. Zone: worker.

Nothing here maps or reads more than it is asked for, so that a file of any size costs a few
megabytes. Offsets and lengths are in bytes.
"""

from __future__ import annotations

import mmap
import os
import zlib
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of one read when something is streamed.
CHUNK = 1 << 20
#: The largest deflated storage that may be viewed in another order than its own.
MAX_INFLATED = 64 << 20
#: The largest deflated pickle.
MAX_BUFFERED = 256 << 20
#: Bytes of deflated data after which the state of the inflater (50 KB) is kept once more.
MARK = 8 << 20


class Source:
    """Readable bytes of a known size. fd: the descriptor they can be copied from, or None; number:
    which file of a group that is read together it is, 0 for the one that describes the others."""

    __slots__ = ("fd", "number", "size")
    #: Whether `read` computes values, so that nobody should ask for them only to look.
    computed = False

    def __init__(self, size: int, fd: int | None = None, number: int = 0) -> None:
        self.size = size
        self.fd = fd
        self.number = number

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Exactly those bytes. Raises RefusedError when they are not there."""
        raise NotImplementedError

    def buffer(self) -> mmap.mmap | bytes:
        """All of it, indexable, for a parser."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of what is in memory only because `buffer` was asked for."""

    def pieces(self, offset: int, length: int) -> list[tuple[Source, int, int]] | None:
        """Where the controller can copy those bytes from: sources with a descriptor, offsets and lengths
        in order. None where they must be written by who reads them."""
        return None if self.fd is None else [(self, offset, length)]


class FileSource(Source):
    """A regular file, open for reading."""

    __slots__ = ("_map", "fd")
    fd: int

    def __init__(self, fd: int, number: int = 0) -> None:
        super().__init__(os.fstat(fd).st_size, fd, number)
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
    """A deflated member of a zip. Reading onward streams; reading elsewhere begins at the nearest of the
    places at which the state of the inflater was kept, so that it costs at most MARK bytes."""

    __slots__ = ("_at", "_bits", "_data", "_file", "_inflater", "_marks", "_offset", "_packed", "_pending", "_taken")  # fmt: skip

    def __init__(
        self, file: Span, offset: int, packed: int, size: int, bits: int = -zlib.MAX_WBITS
    ) -> None:
        """bits: zlib's word for the header of the stream, see zlib.decompressobj."""
        super().__init__(size)
        self._file = file
        self._offset = offset
        self._packed = packed
        self._bits = bits
        self._data: bytes | None = None
        #: Bytes given, packed bytes taken, and the inflater, at the beginning of each MARK bytes.
        self._marks = [(0, 0, zlib.decompressobj(bits))]
        self._go(0)

    def _go(self, number: int) -> None:
        self._at, self._taken, kept = self._marks[number]
        self._inflater = kept.copy()
        self._pending: bytes | memoryview = b""

    def _seek(self, offset: int) -> None:
        best = min(offset // MARK, len(self._marks) - 1)
        while self._marks[best][0] > offset:
            best -= 1
        if offset < self._at or self._marks[best][0] > self._at:
            self._go(best)

    def _next(self, limit: int) -> bytes:
        """At least one and at most `limit` further bytes. Raises RefusedError at the end."""
        while True:
            if self._inflater.eof and not self._begin_another():
                break
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
                if self._at >= MARK * len(self._marks) and not self._inflater.eof:
                    self._marks.append(
                        (self._at, self._taken - len(self._pending), self._inflater.copy())
                    )
                return data
            if not fed:
                break
        raise RefusedError("a deflated member is shorter than it says")

    def _begin_another(self) -> bool:
        """Whether a further stream follows the one that has ended, which is then begun."""
        return False

    def read(self, offset: int, length: int) -> bytes | memoryview:
        if self._data is not None:
            return memoryview(self._data)[offset : offset + length]
        self._seek(offset)
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
            if self.size > MAX_BUFFERED:
                raise RefusedError(
                    f"a packed pickle of {self.size} bytes would have to be unpacked into memory, more than "
                    f"{MAX_BUFFERED}: unpack it yourself and scan the files"
                )
            self._data = bytes(self.read(0, self.size))
        return self._data

    def release(self) -> None:
        self._data = None


class StreamedSource(DeflatedSource):
    """Streams of zlib or gzip that follow each other up to the end, of which all is known to be whole."""

    __slots__ = ()

    def _begin_another(self) -> bool:
        rest = len(self._inflater.unused_data)
        taken = self._taken - rest
        while taken < self._packed and self._file.read(self._offset + taken, 1) == b"\0":
            taken += 1  # padding of gzip's
        if taken >= self._packed:
            return False
        self._taken, self._pending = taken, b""
        self._inflater = zlib.decompressobj(self._bits)
        return True


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


class Pieces(Source):
    """Runs of bytes one behind the other, which need not lie so."""

    __slots__ = ("_begins", "_spans")

    def __init__(self, spans: list[Span]) -> None:
        super().__init__(sum(span.length for span in spans))
        self._spans = spans
        self._begins = list(accumulate((span.length for span in spans), initial=0))

    def _parts(self, offset: int, length: int) -> Iterator[tuple[Span, int, int]]:
        """Which span holds the next bytes, from which of its own on, and how many."""
        at = max(0, bisect_right(self._begins, offset) - 1)
        while length > 0 and at < len(self._spans):
            within = offset - self._begins[at]
            count = min(length, self._spans[at].length - within)
            if count > 0:
                yield self._spans[at], within, count
            offset, length, at = offset + count, length - count, at + 1

    def read(self, offset: int, length: int) -> bytes:
        return b"".join(
            bytes(span.read(begin, count)) for span, begin, count in self._parts(offset, length)
        )

    def buffer(self) -> bytes:
        return self.read(0, self.size)

    def pieces(self, offset: int, length: int) -> list[tuple[Source, int, int]] | None:
        found: list[tuple[Source, int, int]] = []
        for span, begin, count in self._parts(offset, length):
            places = span.source.pieces(span.offset + begin, count)
            if places is None:
                return None
            found += places
        return found


def as_span(value: object) -> Span | None:
    """The span of a bytes-like value of a pickle, or None when it is no such value."""
    if isinstance(value, Span):
        return value
    if isinstance(value, (bytes, bytearray)):
        return Span(MemorySource(bytes(value)), 0, len(value))
    return None
