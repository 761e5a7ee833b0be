"""MXNet's .params: a list of arrays, then their names. Zone: worker.

The layout is that of src/ndarray/ndarray.cc (NDArray::Save, Load, LegacyLoad) and include/mxnet/tuple.h: numbers are
little-endian, an array begins with a magic that says its version, and one of before 2016 with its rank.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Span
from safe_load.worker.tensors import places

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading

_MAGIC = (0x112).to_bytes(8, "little") + bytes(8)
_V1, _V2, _V3 = 0xF993_FAC8, 0xF993_FAC9, 0xF993_FACA
#: mshadow's flags of element types (3rdparty/mshadow/mshadow/base.h).
_TYPES = {
    0: "float32",
    1: "float64",
    2: "float16",
    3: "uint8",
    4: "int32",
    5: "int8",
    6: "int64",
    7: "bool",
    8: "int16",
    9: "uint16",
    10: "uint32",
    11: "uint64",
    12: "bfloat16",
}
#: Kind of storage -> what its further arrays hold.
_SPARSE = {1: ("indices",), 2: ("indptr", "indices")}
MAX_RANK = 32

#: Suffixes and tensors of one array: one of them, none, or the parts of a sparse one.
_Parts = list[tuple[str, tuple[str, tuple[int, ...], Span]]]


class MxnetParams(Format):
    """Arrays with their names, `arg:` and `aux:` before them where the file has these."""

    name, called, loader = "mxnet", "parameters of MXNet", "mxnet.nd.load"
    weights = "all; sparse ones as .data, .indices and .indptr"
    foreign = True

    def recognise(self, file: File) -> bool:
        """By the magic of its list."""
        return file.head.startswith(_MAGIC)

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if arrays and names end where the file does."""
        cursor = Cursor(file, len(_MAGIC))
        arrays = [_array(cursor) for _ in range(_count(cursor, 4))]
        names = [_name(cursor) for _ in range(_count(cursor, 8))]
        if not cursor.done:
            raise RefusedError(f"{cursor.end - cursor.position} bytes follow its end")
        if names and len(names) != len(arrays):
            raise RefusedError(f"it holds {len(arrays)} arrays and {len(names)} names")
        named: places.Named = {}
        for number, parts in enumerate(arrays):
            name = names[number] if names else str(number)
            for suffix, (dtype, shape, span) in parts:
                places.add(named, name + suffix, places.tensor(dtype, shape, span))
        return places.content(named, self.name, reading, why="arrays of numbers and their names")


def _count(cursor: Cursor, least: int) -> int:
    """How many entries follow, each of at least so many bytes."""
    count = cursor.number(8)
    if count * least > cursor.end - cursor.position:
        raise RefusedError(f"it says that {count} entries follow, which the file is too short for")
    return count


def _array(cursor: Cursor) -> _Parts:
    first = cursor.number(4)
    if first not in (_V1, _V2, _V3):
        old = _sizes(cursor, first, 4)
        return [("", _data(cursor, old, _type(cursor)))] if old else []
    kind = cursor.number(4) if first != _V1 else 0
    further = _SPARSE.get(kind, ())
    if kind and not further:
        raise RefusedError(f"an array before byte {cursor.position} is of an unknown kind, {kind}")
    stored = _shape(cursor) if further else None
    shape = _shape(cursor)
    if shape is None or (not shape and first != _V3):
        return []  # nothing was stored
    dtype = _type(cursor)
    if not further:
        return [("", _data(cursor, shape, dtype))]
    described = [(_element(cursor), _shape(cursor) or ()) for _ in further]
    parts = [(".data", _data(cursor, stored or (), dtype))]
    parts += [
        (f".{name}", _data(cursor, sizes, element))
        for name, (element, sizes) in zip(further, described, strict=True)
    ]
    return parts


def _shape(cursor: Cursor) -> tuple[int, ...] | None:
    """None for one that is not known."""
    rank = cursor.number(4)
    return None if rank == 0xFFFF_FFFF else _sizes(cursor, rank, 8)


def _sizes(cursor: Cursor, rank: int, width: int) -> tuple[int, ...]:
    if rank > MAX_RANK:
        raise RefusedError(f"an array before byte {cursor.position} has {rank} dimensions")
    return tuple(cursor.number(width) for _ in range(rank))


def _type(cursor: Cursor) -> str:
    """The element type, behind the device that the array was on."""
    cursor.skip(8)
    return _element(cursor)


def _element(cursor: Cursor) -> str:
    flag = cursor.number(4)
    if flag not in _TYPES:
        raise RefusedError(f"the element type {flag} before byte {cursor.position} is unknown")
    return _TYPES[flag]


def _data(cursor: Cursor, shape: tuple[int, ...], dtype: str) -> tuple[str, tuple[int, ...], Span]:
    if math.prod(size or 1 for size in shape) >= 1 << 56:
        raise RefusedError(f"an array before byte {cursor.position} has the shape {list(shape)}")
    begin, length = cursor.position, places.nbytes(dtype, shape)
    cursor.skip(length)
    span = cursor.file.span
    return dtype, shape, Span(span.source, span.offset + begin, length)


def _name(cursor: Cursor) -> str:
    length = cursor.number(8)
    if length > 4096:
        raise RefusedError(f"a name before byte {cursor.position} has {length} bytes")
    try:
        return cursor.take(length).decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError(f"a name before byte {cursor.position} is not UTF-8") from None
