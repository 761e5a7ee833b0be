"""Arrays as numpy.save writes them. An array of objects is a pickle behind a header. Zone: worker."""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

from safe_load.worker.formats import pickles
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.pickle_vm.arguments import UnexpectedArgument
from safe_load.worker.pickle_vm.builders_numpy import fill
from safe_load.worker.pickle_vm.values import Tensor
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Span
from safe_load.worker.tensors.dtypes import NumpyDtype, is_numpy_type

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading

MAX_HEADER = 64 << 10
_MAGIC = b"\x93NUMPY"


class Npy(Format):
    """One array."""

    name, called, loader = "numpy", "a numpy array", "numpy.load(allow_pickle=True)"
    weights = "all numbers; structures and text not"
    hides = "pickles in arrays of objects"

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return file.head.startswith(_MAGIC)

    def read(self, file: File, reading: Reading) -> Content:
        """Its numbers, or the objects that its pickle makes."""
        root = array(file, reading)
        if root is None:
            return Content(self.name, "data", _called(file), loads=False)
        return pickles.content_of(root, self.name, reading)


def _called(file: File) -> str:
    """What an array is that no tensor can be."""
    descr = _header(file)[0]
    if not isinstance(descr, str):
        return "an array of structures"
    return f"an array of the type {descr[:20]!a}, which torch has no type for"


def array(file: File, reading: Reading) -> object:
    """What numpy.load makes of it, None for numbers that torch has no type for. Raises RefusedError."""
    descr, fortran, shape, begin = _header(file)
    span = file.span
    rest = Span(span.source, span.offset + begin, span.length - begin)
    size, objects = _element(descr)
    if objects:
        root, _ = pickles.unpickle(File(file.name, rest), reading)
        return root
    count = math.prod(shape)
    if size * count != rest.length:
        raise RefusedError(f"the header says {size * count} bytes, and {rest.length} follow")
    if not isinstance(descr, str):
        return None
    dtype = NumpyDtype(descr)
    if dtype.torch is None:
        return None
    result = Tensor(None, None, 0, (0,), (1,), kind="numpy")
    try:
        fill(result, shape, dtype, fortran, rest)
    except UnexpectedArgument:
        raise RefusedError("the shape and the data type do not fit each other") from None
    return result


def _header(file: File) -> tuple[object, bool, tuple[int, ...], int]:
    """Element type, order, shape, and where the data begins."""
    wide = file.read(6, 1) != b"\1"
    size = 4 if wide else 2
    length = int.from_bytes(file.read(8, size), "little")
    if length > MAX_HEADER:
        raise RefusedError(f"the header of {length} bytes is too long")
    try:
        header = ast.literal_eval(file.read(8 + size, length).decode("utf-8").strip())
        descr, order, shape = header["descr"], header["fortran_order"], header["shape"]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        raise RefusedError("the header does not describe an array") from None
    whole = isinstance(shape, tuple) and all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
    if not whole or len(shape) > 64 or type(order) is not bool:
        raise RefusedError("the header does not describe an array")
    return descr, order, shape, 8 + size + length


def _element(descr: object) -> tuple[int, bool]:
    """Bytes of an element, and whether it, or a part of it, is an object: numpy then reads a pickle.

    Of a structure this is a list of (name, type) or (name, type, shape), of an element with a shape a pair.
    Raises RefusedError for any other spelling: numpy knows more of them.
    """
    size, objects = 0, False
    todo: list[tuple[object, int]] = [(descr, 1)]
    for _ in range(MAX_HEADER):
        if not todo:
            return size, objects
        part, times = todo.pop()
        if isinstance(part, str) and is_numpy_type(part):
            dtype = NumpyDtype(part)
            size += dtype.itemsize * times
            objects = objects or dtype.objects
        elif isinstance(part, tuple) and len(part) == 2:
            todo.append((part[0], times * _count(part[1])))
        elif isinstance(part, list) and all(
            isinstance(field, tuple) and len(field) in (2, 3) for field in part
        ):
            todo += [
                (field[1], times * _count(field[2] if len(field) == 3 else ())) for field in part
            ]
        else:
            break
    raise RefusedError("the element type is not written in the way of numpy.save")


def _count(shape: object) -> int:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if len(sizes) > 64 or not all(type(size) is int and 0 <= size < 1 << 40 for size in sizes):
        raise RefusedError("the header does not describe an array")
    return math.prod(sizes)
