"""The files that a virtual dataset of HDF5 takes its numbers from. Zone: worker.

HDF5 File Format Specification 4.0, III.G: a block in a global heap has, for each part, the names of a file and of a dataset in
it, and two selections (H5S*_serialize). The file "." is the one that holds the block.
"""

from __future__ import annotations

from safe_load.worker.refusal import RefusedError

MAX_PARTS = 100_000
_SHARED_FILE, _SHARED_DATASET, _THIS_FILE = 1, 2, 4
_NONE, _HYPERSLABS, _ALL = 0, 2, 3


def is_of_this_file(block: bytes) -> bool:
    """Whether all parts lie in the file itself. Raises RefusedError, IndexError."""
    version, count, at = block[0], _number(block, 1, 8), 9
    if version not in (0, 1):
        raise RefusedError(f"a virtual dataset is described in version {version}, which is unknown")
    if count > MAX_PARTS:
        raise RefusedError(f"a virtual dataset has {count} parts, more than {MAX_PARTS}")
    for _ in range(count):
        flags = block[at] if version else 0
        at += version
        if flags & _SHARED_FILE:  # a part before, of this file as it was, has the name
            at += 8
        elif not flags & _THIS_FILE:
            name, at = _text(block, at)
            if name != b".":
                return False
        at = at + 8 if flags & _SHARED_DATASET else _text(block, at)[1]
        at = _after(block, _after(block, at))
    return True


def _number(block: bytes, at: int, size: int) -> int:
    if at + size > len(block):
        raise IndexError
    return int.from_bytes(block[at : at + size], "little")


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    end = block.find(b"\0", at)
    if end < 0:
        raise IndexError
    return block[at:end], end + 1


def _after(block: bytes, at: int) -> int:
    """Where a selection ends."""
    kind, version = _number(block, at, 4), _number(block, at + 4, 4)
    if kind in (_NONE, _ALL):
        return at + 16
    if version == 1:
        return at + 16 + _number(block, at + 12, 4)
    if kind == _HYPERSLABS and version == 2:
        return at + 13 + _number(block, at + 9, 4)
    if kind == _HYPERSLABS and version == 3:
        is_regular, width, rank = block[at + 8] & 1, block[at + 9], _number(block, at + 10, 4)
        if is_regular:
            return at + 14 + 4 * rank * width
        return at + 14 + width + 2 * rank * width * _number(block, at + 14, width)
    raise RefusedError(
        f"a selection of a virtual dataset is of version {version}, which is unknown"
    )
