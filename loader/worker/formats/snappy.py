"""Blocks packed by Snappy (google/snappy, format_description.txt). Zone: worker."""

from __future__ import annotations

from safe_load.worker.refusal import RefusedError, bomb

#: Bytes that one packed byte can stand for: 64 by 3, and the rest of a block may be one copy.
MAX_RATIO = 32


def unpacked(data: bytes, most: int) -> bytes:
    """What a block holds, at most that many bytes. Raises RefusedError."""
    try:
        size, at = _size(data)
        if size > most or size > MAX_RATIO * len(data):
            raise bomb(f"{len(data)} bytes packed by Snappy say that they unpack to {size}")
        out = bytearray()
        while at < len(data) and len(out) <= size:
            at = _piece(data, at, out)
    except IndexError:
        raise RefusedError("its Snappy data is cut off") from None
    if len(out) != size or at != len(data):
        raise RefusedError("its Snappy data has another size than it says")
    return bytes(out)


def _size(data: bytes) -> tuple[int, int]:
    size = shift = at = 0
    while True:
        byte = data[at]
        size |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return size, at
        if shift > 28:
            raise RefusedError("its Snappy data has no size")


def _piece(data: bytes, at: int, out: bytearray) -> int:
    """Add a literal or a copy of what came before. Returns where the next one begins."""
    tag, at = data[at], at + 1
    kind, length = tag & 3, (tag >> 2) + 1
    if kind == 0:
        if length > 60:
            extra = length - 60
            length, at = int.from_bytes(data[at : at + extra], "little") + 1, at + extra
        if at + length > len(data):
            raise IndexError
        out += data[at : at + length]
        return at + length
    if kind == 1:
        length, back, after = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at], at + 1
    else:
        after = at + (2 if kind == 2 else 4)
        back = int.from_bytes(data[at:after], "little")
    if not 0 < back <= len(out) or after > len(data):
        raise RefusedError("its Snappy data copies what it does not hold")
    start = len(out) - back
    out += (out[start:] * (length // back + 1))[:length]
    return after
