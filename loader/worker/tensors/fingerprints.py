"""Which bytes of a tensor are digested, so that extraction and detonation digest the same ones.

Zone: worker. Digesting every byte of a large model twice would cost more than loading it, so a
tensor above the budget is sampled: its first block, its last, and blocks spread evenly between.
The sample guards against a load that edits weights, not against a collision made on purpose: what
is exported comes from extraction alone, never from what ran.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Bytes in one sampled block. A fault in a mapped file brings up to 64 KiB (fault_around_bytes), so
#: a few longer blocks cost a third of many single pages.
BLOCK = 16384


def plan(nbytes: int, budget: int) -> list[tuple[int, int]]:
    """The ranges (offset, length), in bytes, in order and without overlap, of a tensor of `nbytes`.

    Everything when it fits in `budget` bytes, else blocks that add up to at most `budget`; the
    first range starts at 0 and, from two blocks on, the last one ends at `nbytes`. Nothing when
    either number is 0 or less.
    """
    if nbytes <= 0 or budget <= 0:
        return []
    if nbytes <= budget:
        return [(0, nbytes)]
    block = min(BLOCK, budget)
    count = budget // block
    if count == 1:
        return [(0, block)]
    # nbytes > count * block, so neighbours are at least a block apart also after rounding down.
    return [(index * (nbytes - block) // (count - 1), block) for index in range(count)]


#: Values of one tensor that are sampled, and types whose values are, with the bytes of one.
_VALUES = 200
_SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
#: Tensors of one file that are sampled.
MOST_SAMPLED = 2000


def sample(data: bytes | bytearray, dtype: str) -> str:
    """A few hundred values of the digested bytes, evenly spread, in hex as they lie in the file; "" for a type whose
    values are not compared. dtype: as safetensors spells it."""
    size = _SIZES.get(dtype)
    if size is None:
        return ""
    count = len(data) // size
    taken = min(count, _VALUES)
    places = [index * count // taken * size for index in range(taken)]
    return b"".join(data[place : place + size] for place in places).hex()


def digest(chunks: Iterable[bytes | bytearray | memoryview]) -> int:
    """The CRC-32 of the chunks one after the other: an unsigned 32-bit number, 0 for none."""
    crc = 0
    for chunk in chunks:
        crc = zlib.crc32(chunk, crc)
    return crc
