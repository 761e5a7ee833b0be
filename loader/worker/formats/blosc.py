"""Chunks packed by Blosc 1, as zarr 2 does where it is told nothing else (c-blosc, README_CHUNK_FORMAT.rst). Zone: worker.

A header, where each block begins, and blocks. The bytes of a block may be put in order by their place in each element, and
packed in as many parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.formats import codecs
from safe_load.worker.formats.packed import lz4_block
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading

_HEADER = 16
_SHUFFLED, _STORED, _BIT_SHUFFLED, _NOT_SPLIT = 1, 2, 4, 16
_LZ4, _ZLIB, _ZSTD = 1, 3, 4
#: Bytes that a chunk may take beside its numbers: where blocks begin, and what packing adds.
MAX_MORE = 1 << 20
#: What Blosc calls the ways of packing that are read here.
NAMES = frozenset(("lz4", "lz4hc", "zlib", "zstd"))


def unpacked(data: bytes, size: int, reading: Reading) -> bytes:
    """What a chunk holds, which has to be that many bytes. Raises RefusedError."""
    head = [int.from_bytes(data[at : at + 4], "little") for at in (4, 8, 12)]
    if len(data) < _HEADER or data[0] != 2 or head[0] != size or head[2] != len(data):
        raise RefusedError("a chunk's head is none of Blosc's, or says another size than its shape")
    flags, width, block = data[2], data[3], head[1]
    if flags & _STORED:
        if len(data) != _HEADER + size:
            raise RefusedError(
                f"a chunk of {len(data)} bytes says that it stores {size} as they are"
            )
        return data[_HEADER:]
    if flags & _BIT_SHUFFLED:
        raise RefusedError("the bits of a chunk are shuffled by Blosc, which is not read")
    if not size or not block or not width:
        raise RefusedError("a chunk's head is none of Blosc's, or says another size than its shape")
    out = bytearray()
    for number in range(-(-size // block)):
        here = min(block, size - len(out))
        whole = here == block
        parts = width if whole and not flags & _NOT_SPLIT else 1
        at = _number(data, _HEADER + 4 * number)
        plain = _block(data, at, here, parts, flags >> 5, reading)
        out += _in_order(plain, width) if flags & _SHUFFLED and width > 1 else plain
    return bytes(out)


def _number(data: bytes, at: int) -> int:
    if at < 0 or at + 4 > len(data):
        raise RefusedError("a chunk packed by Blosc is cut off")
    return int.from_bytes(data[at : at + 4], "little")


def _block(data: bytes, at: int, size: int, parts: int, way: int, reading: Reading) -> bytes:
    out = []
    if size % parts:
        raise RefusedError("a block of Blosc's cannot be split as its head says")
    for _ in range(parts):
        length, at = _number(data, at), at + 4
        packed = data[at : at + length]
        if len(packed) != length:
            raise RefusedError("a chunk packed by Blosc is cut off")
        at += length
        out.append(
            packed if length == size // parts else _part(packed, size // parts, way, reading)
        )
    return b"".join(out)


def _part(packed: bytes, size: int, way: int, reading: Reading) -> bytes:
    if way == _LZ4:
        plain = lz4_block(packed, b"", size)
    elif way in (_ZLIB, _ZSTD):
        decoder: codecs.Decoder = codecs.Zlib(15) if way == _ZLIB else codecs.zstd(reading)
        plain = codecs.decode(decoder, packed, size + 1)
    else:
        raise RefusedError("a chunk is packed by Blosc in a way that is not read")
    if len(plain) != size:
        raise RefusedError(f"a block of Blosc's unpacks to {len(plain)} bytes and not {size}")
    return plain


def _in_order(data: bytes, width: int) -> bytes:
    """The first bytes of all elements lie together, then the second ones."""
    count = len(data) // width
    out = bytearray(data)
    for place in range(width):
        out[place : count * width : width] = data[place * count : (place + 1) * count]
    return bytes(out)
