"""MessagePack, in which flax keeps its weights: maps, numbers, and arrays as an extension. Zone: worker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import nested, pickles
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.pickle_vm.values import Tensor
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import MemorySource, Pieces, Span
from safe_load.worker.tensors import places
from safe_load.worker.tensors.dtypes import TORCH, NumpyDtype

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading

MAX_ITEMS = 5_000_000
MAX_DEPTH = 64
#: Bytes of a text that is kept.
MAX_TEXT = 4096
#: The key that marks an array in pieces.
_CUT = "__msgpack_chunked_array__"
#: First byte -> bytes of a value of fixed size.
_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXED |= {0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
#: First byte -> bytes of the length of bytes and texts, of arrays, of maps, of extensions.
_RUNS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAYS = {0xDC: 2, 0xDD: 4}
_EMPTY = (b"\x80", b"\x90")
_MAPS = {0xDE: 2, 0xDF: 4}
_EXTENSIONS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_NUMBERS = re.compile(rb"[<>=|]?(?:bool|bfloat16|u?int\d+|float\d+\w*|complex\d+|[?biufc]\d*)")


class Msgpack(Format):
    """A map or a list in MessagePack. flax's extensions: 1 an array, 2 a complex number, 3 a numpy scalar."""

    name, called, loader = (
        "msgpack",
        "a MessagePack file, as flax writes it",
        "flax.serialization.from_bytes",
    )
    weights = "arrays, under their paths"
    hides = "extensions that are not flax's"
    foreign = True

    def recognise(self, file: File) -> bool:
        """A map whose first key is a text, a list of what begins some value, or an empty one of them alone."""
        head = file.head
        if file.size == 1:
            return head in _EMPTY
        if len(head) > 2 and (0x91 <= head[0] <= 0x9F or head[0] in _ARRAYS):
            return head[1 + _ARRAYS.get(head[0], 0) :][:1] not in (b"", b"\xc1")
        if len(head) < 3 or not (0x81 <= head[0] <= 0x8F or head[0] in _MAPS):
            return False
        key = head[1 + _MAPS.get(head[0], 0) :]
        if not key:
            return False
        if 0xA1 <= key[0] <= 0xBF:
            text = key[1 : 1 + (key[0] & 31)]
        elif key[0] == 0xD9 and len(key) > 2:
            text = key[2 : 2 + key[1]]
        else:
            return False
        return text.decode("utf-8", "replace").isprintable()

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if it is one value of which flax makes numbers, text and containers alone."""
        cursor = Cursor(file)
        root = _tree(cursor, arrays=True)
        if not cursor.done:
            raise RefusedError(f"{cursor.end - cursor.position} bytes follow the end of the data")
        nested.look(root, reading, pickles.second_look)  # msgpack_numpy unpickles arrays of objects
        why = "MessagePack of numbers, text and containers"
        content = pickles.content_of(_whole(root), self.name, reading)
        if content.plan is None or not content.plan.entries:
            lacks = "it is a MessagePack file without arrays"
            return Content(self.name, "data", why, loads=False, lacks=lacks)
        content.state, content.why = "data", why
        return content


#: A container that is being read: itself, how many values are to come, whether it is a map, its next key.
_Frame = list[Any]


def _tree(cursor: Cursor, *, arrays: bool = False) -> object:
    """One value: containers, texts, numbers, and tensors where arrays are wanted. Raises RefusedError."""
    left = MAX_ITEMS
    top: list[object] = []
    frames: list[_Frame] = [[top, 1, False, _NONE]]
    while frames:
        held, count, is_map, key = frame = frames[-1]
        if not count:
            frames.pop()
            continue
        frame[1] -= 1
        left -= 1
        if left < 0:
            raise bomb(f"the file holds more than {MAX_ITEMS} values")
        value, inside, maps = _value(cursor, arrays=arrays)
        if inside is not None and len(frames) > MAX_DEPTH:
            raise RefusedError(f"containers are nested more than {MAX_DEPTH} deep")
        if is_map and key is _NONE:
            if inside is not None or not isinstance(value, (str, int, bytes)) or value in held:
                raise RefusedError(
                    f"a map before byte {cursor.position} has a key that is no text, or one twice"
                )
            frame[3] = value
            continue
        if is_map:
            held[key] = value
            frame[3] = _NONE
        else:
            held.append(value)
        if inside:
            frames.append([value, 2 * inside if maps else inside, maps, _NONE])
    return top[0]


_NONE = object()


def _value(cursor: Cursor, *, arrays: bool) -> tuple[Any, int | None, bool]:
    """One value, or the head of a container: it, how many values (of a map: pairs) it holds, whether it is a map."""
    first = cursor.take(1)[0]
    if first < 0x80 or first >= 0xE0:
        return first if first < 0x80 else first - 256, None, False
    if first < 0x90:
        return {}, first & 15, True
    if first < 0xA0:
        return [], first & 15, False
    if first < 0xC0:
        return _text(cursor, first & 31), None, False
    if first in _FIXED:
        data = cursor.take(_FIXED[first])
        number = int.from_bytes(data, "big", signed=first >= 0xD0)
        return (number if first >= 0xCC else None), None, False
    if first in _RUNS:
        length = cursor.number(_RUNS[first], "big")
        if first >= 0xD9 and length <= MAX_TEXT:
            return _text(cursor, length), None, False
        at = cursor.position
        cursor.skip(length)
        span = cursor.file.span
        return Span(span.source, span.offset + at, length), None, False
    if first in _ARRAYS:
        return [], cursor.number(_ARRAYS[first], "big"), False
    if first in _MAPS:
        return {}, cursor.number(_MAPS[first], "big"), True
    return _extension(cursor, first, arrays=arrays), None, False


def _text(cursor: Cursor, length: int) -> str:
    return cursor.take(length).decode("utf-8", "replace")


def _extension(cursor: Cursor, first: int, *, arrays: bool) -> object:
    """An array or a number, as a tensor where these are wanted."""
    if 0xD4 <= first <= 0xD8:
        length = 1 << first - 0xD4
    elif first in _EXTENSIONS:
        length = cursor.number(_EXTENSIONS[first], "big")
    else:
        raise RefusedError(
            f"the byte {first:#x} before byte {cursor.position} begins no MessagePack value"
        )
    kind = cursor.number(1)
    start = cursor.position
    cursor.skip(length)
    if kind == 0xFF:  # a time
        return None
    if kind not in (1, 2, 3):
        raise RefusedError(
            f"an extension of the kind {kind} at byte {start} is not one that flax writes"
        )
    inner = Cursor(cursor.file, start, cursor.position)
    value = _tree(inner)
    if not inner.done:
        raise RefusedError(f"an extension at byte {start} holds more than its value")
    if kind == 2:
        return None
    try:
        return _array(value, start, arrays=arrays)
    except RefusedError as refusal:
        raise RefusedError(f"the array at byte {start}: {refusal.reason}", refusal.status) from None


def _array(value: object, at: int, *, arrays: bool) -> object:
    """An array as flax writes it: shape, name of the element type, bytes (flax.serialization, _ndarray_to_bytes)."""
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[0], list):
        raise RefusedError(f"there is no array at byte {at}")
    shape, dtype, data = value
    if isinstance(dtype, Span):
        dtype = bytes(dtype.read(0, min(dtype.length, 40))).decode("utf-8", "replace")
    if not isinstance(dtype, str) or not _NUMBERS.fullmatch(dtype.encode()):
        raise RefusedError("its elements are not numbers")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise RefusedError("its shape is not one of numbers")
    if data == "":
        data = Span(MemorySource(b""), 0, 0)
    if not isinstance(data, Span):
        raise RefusedError("its numbers are no bytes")
    letters = NumpyDtype(dtype)
    known = TORCH.get(dtype) or letters.torch
    if not arrays or known is None:
        if known is None:
            raise RefusedError(f"its elements are of the type {dtype[:40]!a}, which is not read")
        return None
    return places.tensor(known.name, tuple(shape), data, big_endian=letters.order == ">")


def _whole(root: object) -> object:
    """The same with arrays that flax cut into pieces of 1 GiB in one (flax.serialization, _chunk)."""
    todo = [root]
    while todo:
        held = todo.pop()
        items = held.items() if isinstance(held, dict) else enumerate(held)  # type: ignore[arg-type]
        for key, value in list(items):
            if isinstance(value, dict) and _CUT in value:
                held[key] = _joined(value)  # type: ignore[index]
            elif isinstance(value, (dict, list)):
                todo.append(value)
    return root


def _joined(value: dict[Any, Any]) -> object:
    shape, pieces = value.get("shape"), value.get("chunks")
    if not isinstance(shape, dict) or not isinstance(pieces, dict):
        raise RefusedError("an array in pieces has no shape or no pieces")
    tensors: list[Tensor] = []
    for number in range(len(pieces)):
        piece = pieces.get(str(number))
        if not isinstance(piece, Tensor):
            raise RefusedError("an array in pieces has a piece that is none")
        tensors.append(piece)
    sizes = [shape.get(str(number)) for number in range(len(shape))]
    kinds = {each.dtype.name for each in tensors if each.dtype}
    if len(kinds) != 1 or not all(type(size) is int and size >= 0 for size in sizes):
        raise RefusedError("an array in pieces has pieces of several types, or no shape")
    spans = [each.storage.span for each in tensors if each.storage and each.storage.span]
    source = Pieces(spans)
    dims = tuple(size for size in sizes if isinstance(size, int))
    return places.tensor(kinds.pop(), dims, Span(source, 0, source.size))
