"""Numbers of an HDF5 file that are computed: chunks put together, and values that are stored once. Zone: worker.

HDF5 File Format Specification 3.0, III.A.1 (trees of chunks) and IV.A.2.l (filters).
"""

from __future__ import annotations

import itertools
import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Source

if TYPE_CHECKING:
    from safe_load.worker.spans import Span

#: Bytes of a row of chunks that are in memory at once.
MAX_BAND = 256 << 20
_DEFLATE, _SHUFFLE, _CHECKSUM, _LZF = 1, 2, 3, 32000
_NAMED = {4: "szip", 5: "nbit", 6: "scaleoffset", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32015: "zstd"}  # fmt: skip


class UnreadError(Exception):
    """The numbers are kept in a way that is not read here; no fault of the file."""


class Filled(Source):
    """One value again and again."""

    __slots__ = ("_value",)
    computed = True

    def __init__(self, value: bytes, size: int) -> None:
        super().__init__(size)
        self._value = value

    def read(self, offset: int, length: int) -> bytes:
        width = len(self._value)
        skip = offset % width
        return (self._value * (-(-(skip + length) // width)))[skip : skip + length]

    def buffer(self) -> bytes:
        return self.read(0, self.size)


@dataclass(frozen=True)
class Chunk:
    """Where one lies. mask: bits of the filters that were left out."""

    address: int
    size: int
    mask: int = 0


def filters(data: bytes) -> list[tuple[int, int]]:
    """What was done to each chunk, in order: a filter's number and the first of its values."""
    if not data:
        return []
    version, count = data[0], data[1]
    at = 8 if version == 1 else 2
    found = []
    for _ in range(count):
        number = int.from_bytes(data[at : at + 2], "little")
        named = version == 1 or number >= 256
        name = int.from_bytes(data[at + 2 : at + 4], "little") if named else 0
        at += 4 if named else 2
        values = int.from_bytes(data[at + 2 : at + 4], "little")
        at += 4 + (-(-name // 8) * 8 if version == 1 else name)
        first = int.from_bytes(data[at : at + 4], "little") if values else 0
        at += 4 * values + (4 if version == 1 and values % 2 else 0)
        if at > len(data):
            raise RefusedError("its list of filters is too short")
        if number not in (_DEFLATE, _SHUFFLE, _CHECKSUM, _LZF):
            raise UnreadError(f"it is packed with {_NAMED.get(number, f'the filter {number}')}")
        found.append((number, first))
    return found


class Chunked(Source):
    """A dataset in chunks, as its numbers in logical order. One row of chunks is in memory."""

    __slots__ = (
        "_band",
        "_chunks",
        "_fill",
        "_number",
        "_shape",
        "_span",
        "_step",
        "_width",
        "filters",
    )
    computed = True

    def __init__(
        self,
        span: Span,
        shape: tuple[int, ...],
        step: tuple[int, ...],
        width: int,
        chunks: dict[tuple[int, ...], Chunk],
        fill: bytes,
    ) -> None:
        super().__init__(math.prod(shape) * width)
        self._span, self._shape, self._step, self._width = span, shape, step, width
        self._chunks, self._fill = chunks, fill
        self._number, self._band = -1, b""
        self.filters: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        rows = math.prod(self._shape[1:]) * self._width * self._step[0]
        parts = []
        while length > 0:
            number, within = divmod(offset, rows)
            if number != self._number:
                self._number, self._band = (
                    number,
                    self._made(number, min(rows, self.size - number * rows)),
                )
            part = self._band[within : within + length]
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        if offset >= self.size:
            self._number, self._band = -1, b""  # of many datasets, one is in memory
        return b"".join(parts)

    def buffer(self) -> bytes:
        return self.read(0, self.size)

    def _made(self, number: int, size: int) -> bytes:
        """A row of chunks, put in order."""
        if max(size, math.prod(self._step) * self._width) > MAX_BAND:
            raise RefusedError(
                f"a row of its chunks takes {size} bytes, more than {MAX_BAND >> 20} MiB"
            )
        band = bytearray(self._fill * (size // self._width))
        first = number * self._step[0]
        inner = self._shape[1:]
        grid = [range(-(-n // s)) for n, s in zip(inner, self._step[1:], strict=True)]
        for place in itertools.product(*grid):
            data = self._chunk((number, *place))
            if data is None:
                continue
            begins = (0, *(p * s for p, s in zip(place, self._step[1:], strict=True)))
            dims = (min(self._shape[0] - first, self._step[0]), *inner)
            sizes = [min(s, n - b) for s, n, b in zip(self._step, dims, begins, strict=True)]
            self._lay(band, data, dims, begins, sizes)
        return bytes(band)

    def _chunk(self, place: tuple[int, ...]) -> bytes | None:
        """One chunk, unpacked; None where it is not stored."""
        chunk = self._chunks.get(place)
        return None if chunk is None else self._unpacked(chunk)

    def _lay(
        self,
        band: bytearray,
        data: bytes,
        dims: tuple[int, ...],
        begins: tuple[int, ...],
        sizes: list[int],
    ) -> None:
        """Copy a chunk to its place, the longest runs at once."""
        width, run = self._width, sizes[-1] * self._width
        for index in itertools.product(*map(range, sizes[:-1])):
            source = to = 0
            for i, begin, n, s in zip(index, begins, dims, self._step, strict=False):
                source, to = source * s + i, to * n + begin + i
            source, to = source * self._step[-1] * width, (to * dims[-1] + begins[-1]) * width
            band[to : to + run] = data[source : source + run]

    def _unpacked(self, chunk: Chunk) -> bytes:
        data = bytes(self._span.read(chunk.address, chunk.size))
        size = math.prod(self._step) * self._width
        for place in reversed(range(len(self.filters))):
            number, first = self.filters[place]
            if chunk.mask >> place & 1:
                continue
            if number == _CHECKSUM:
                data = data[:-4]
            elif number == _SHUFFLE:
                data = _unshuffled(data, first or self._width)
            elif number == _LZF:
                data = _lzf(data, size + 4)
            else:
                inflater = zlib.decompressobj()
                try:
                    data = inflater.decompress(data, size + 4)
                except zlib.error as error:
                    raise RefusedError(f"a chunk is damaged: {error}") from None
        if len(data) != size:
            raise RefusedError(f"a chunk unpacks to {len(data)} bytes, its shape takes {size}")
        return data


def _lzf(data: bytes, most: int) -> bytes:
    """What h5py's own filter packed (liblzf 3.6, lzf_d.c): runs of bytes as they are, and of bytes that came before."""
    out = bytearray()
    at = 0
    try:
        while at < len(data) and len(out) <= most:
            control = data[at]
            at += 1
            if control < 32:
                run = data[at : at + control + 1]
                if len(run) <= control:
                    raise IndexError
                out += run
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += data[at]
                at += 1
            back = ((control & 31) << 8 | data[at]) + 1
            at += 1
            length += 2
            if back > len(out):
                raise IndexError
            begin = len(out) - back
            part = out[begin : begin + length]
            out += part if back >= length else (bytes(part) * (length // back + 1))[:length]
    except IndexError:
        raise RefusedError("a chunk is damaged: its LZF data ends early") from None
    return bytes(out)


def _unshuffled(data: bytes, width: int) -> bytes:
    """The bytes of elements that were stored first bytes first."""
    count = len(data) // width
    made = bytearray(data)
    for each in range(width):
        made[each : count * width : width] = data[each * count : (each + 1) * count]
    return bytes(made)
