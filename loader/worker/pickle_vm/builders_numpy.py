"""numpy's arrays, scalars and dtypes as a pickle builds them, without numpy. Zone: worker.

The formats are those of numpy/_core/src/multiarray/methods.c (array_setstate) and descriptor.c
(arraydescr_setstate).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm import held
from safe_load.worker.pickle_vm.arguments import UnexpectedArgument, expect, integers, need
from safe_load.worker.pickle_vm.values import Global, Storage, Stub, Tensor
from safe_load.worker.spans import as_span
from safe_load.worker.tensors.dtypes import NumpyDtype, is_numpy_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.calls import Call


_STRUCTURED = {"numpy.record", "numpy.rec.record", "numpy.core.records.record", "numpy.void"}
#: Classes of arrays that numpy makes by ndarray.__new__ alone, under the names that they had since 1.13. What
#: their __array_finalize__ does is to set attributes of the array itself.
_ARRAYS = frozenset(
    {
        *("numpy.ndarray", "numpy.matrix", "numpy.matrixlib.defmatrix.matrix", "numpy.memmap"),
        *("numpy.recarray", "numpy.rec.recarray", "numpy.core.records.recarray"),
        *("numpy.chararray", "numpy.char.chararray", "numpy.core.defchararray.chararray"),
        *("numpy.core.memmap.memmap", "numpy._core.memmap.memmap"),
    }
)
#: Those of which an object is more than its numbers: it computes otherwise, or has attributes for its fields.
_SUBCLASSES = ("matrix", "recarray", "chararray")
_MASKED = frozenset({"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"})


def _blank(call: Call) -> object:
    cls = expect(call.take(3, 3)[0], Global)
    if cls.name not in _ARRAYS:
        if not cls.allowed:
            call.world.ledger.called(cls.name, call.opcode, call.offset, ())
        return Stub(call.func.name, call.args)
    call.world.ledger.excuse(cls.name)
    made = Tensor(None, None, 0, (0,), (1,), kind="numpy")
    last = cls.name.rpartition(".")[2]
    made.subclass = last if last in _SUBCLASSES else ""
    return made


def _of_dill(call: Call) -> object:
    """dill._dill._create_array: the call, the state and the attributes of an array, all in one call."""
    make, args, state, attributes = call.take(3, 4)
    need(expect(make, Global).name in _RECONSTRUCT and not attributes)
    array = call.world.call(make, expect(args, tuple), None, call.opcode, call.offset)
    return call.world.build(array, state, call.offset)


_RECONSTRUCT = frozenset(
    {"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"}
)


def _masked(call: Call) -> object:
    """numpy.ma.core._mareconstruct: an array, and one of what is masked."""
    cls, base, _, _ = call.take(4, 4)
    for kind, names in ((expect(cls, Global), _MASKED), (expect(base, Global), _ARRAYS)):
        need(kind.name in names)
        call.world.ledger.excuse(kind.name)
    made = Tensor(None, None, 0, (0,), (1,), kind="numpy")
    made.subclass = "masked"
    return made


def _dtype(call: Call) -> object:
    letters, _, copied = call.take(1, 3)
    if isinstance(letters, str) and is_numpy_type(letters):
        # One that is no copy is numpy's own, which every other array shares.
        return NumpyDtype(letters, closed=copied not in (True, 1))
    # numpy.dtype asks a class for its attribute `dtype`.
    if isinstance(letters, Global) and letters.name in _STRUCTURED:
        call.world.ledger.excuse(letters.name)
        made = NumpyDtype("V0", closed=copied not in (True, 1))
        made.record = letters.name != "numpy.void"
        return made
    raise UnexpectedArgument


def _ufunc(call: Call) -> object:
    """numpy.core._ufunc_reconstruct, to numpy 1.21: it imports the module, and takes the name from it."""
    module, name = call.take(2, 2)
    called = expect(name, str)
    need(module in _UFUNCS and called.isidentifier() and not called.startswith("_"))
    if module == "numpy":
        need(call.world.ledger.allows(f"numpy.{called}", "value"))
    return Stub(call.func.name, call.args)


#: Modules that hold nothing but such functions, and numpy itself.
_UFUNCS = frozenset(
    {
        *(
            "numpy",
            "numpy.core._multiarray_umath",
            "numpy._core._multiarray_umath",
            "numpy.core.umath",
        ),
        *("scipy.special", "scipy.special._ufuncs", "scipy.special._special_ufuncs"),
    }
)


def _scalar(call: Call) -> object:
    dtype, data = call.take(1, 2)
    _close(dtype)
    need(data is None or isinstance(data, str) or as_span(data) is not None)
    return Stub(call.func.name, call.args)


def _from_buffer(call: Call) -> object:
    data, dtype, shape, order = call.take(4, 4)
    array = Tensor(None, None, 0, (0,), (1,), kind="numpy")
    need(expect(order, str) in {"C", "F"})
    fill(array, shape, dtype, order == "F", data)
    return array


def fill(
    array: Tensor,
    shape: object,
    dtype: object,
    fortran: object,
    data: object,
    *,
    native: bool = False,
) -> None:
    """Give an array its numbers, or, when it holds objects, its parts. native: loading turns its numbers
    to this machine's order."""
    sizes = integers(shape)
    _close(dtype)
    need(array.sizes is None)  # numbers that were looked at are not changed any more
    array.sizes = sizes
    if isinstance(data, list):
        array.parts = dict(enumerate(data))
        array.array = dtype, sizes, bool(fortran), data, native
        return
    if isinstance(data, str):  # Python 2's bytes
        try:
            data = data.encode("latin-1")
        except UnicodeEncodeError:
            raise UnexpectedArgument from None
    span = as_span(data)
    # Bytes in the place of objects are addresses, which numpy follows.
    need(span is not None and not (isinstance(dtype, NumpyDtype) and dtype.objects))
    if isinstance(dtype, NumpyDtype):
        array.element, array.raw = dtype, span
    kind = dtype.torch if isinstance(dtype, NumpyDtype) else None
    if span is not None:
        array.array = dtype, sizes, bool(fortran), span, native
    if span is None or kind is None or not isinstance(dtype, NumpyDtype):
        return  # text, dates, structures: no numbers to export
    need(math.prod(sizes) * kind.size == span.length)
    array.storage = Storage(kind, span.length, span, swapped=dtype.order == ">" and kind.swap > 1)
    array.dtype = kind
    array.shape = sizes
    steps, step = [], 1
    for size in sizes if fortran else reversed(sizes):
        steps.append(step)
        step *= max(size, 1)
    array.stride = tuple(steps if fortran else reversed(steps))


def _close(dtype: object) -> None:
    """Something is made with this dtype: BUILD on it would change what the bytes of that are taken for."""
    need(isinstance(dtype, (NumpyDtype, Stub)))
    if isinstance(dtype, NumpyDtype):
        dtype.closed = True


def _set_dtype(dtype: NumpyDtype, state: object) -> None:
    """arraydescr_setstate: order, parts, size and flags. numpy believes them, so they are checked here:
    parts that lie outside of their element, or objects that no flag tells of, are wild addresses."""
    parts = expect(state, tuple)
    need(8 <= len(parts) <= 9 and not dtype.closed)
    dtype.closed = True
    dtype.state = parts
    version, order, base, names, fields, size, _, flags = parts[:8]
    need(expect(order, str) in {"<", ">", "=", "|"} and type(size) is int and type(flags) is int)
    dtype.order = order
    dtype.structured = any(part is not None for part in parts[2:5])
    if dtype.structured:
        need(dtype.letters.startswith("V") and size >= 0)
        need((base is None) != (names is None and fields is None))
        if base is not None:
            element, shape = _two(base)
            sizes = (shape,) if isinstance(shape, int) else shape
            need(_part(dtype, element) * math.prod(integers(sizes)) <= size)
        else:
            listed = set(expect(names, tuple))
            need(listed <= set(expect(fields, dict)))
            for name, field in fields.items():
                element, offset = _two(expect(field, tuple)[:2])
                need(type(offset) is int and 0 <= offset <= size - _part(dtype, element))
                if name in listed and isinstance(element, NumpyDtype) and isinstance(offset, int):
                    dtype.fields[name] = element, offset
    if dtype.letters[0] in "SUV":
        need(size in (-1, dtype.itemsize) or (dtype.itemsize == 0 and size >= 0))
        dtype.itemsize = max(size, dtype.itemsize)
    # NPY_ITEM_REFCOUNT and NPY_LIST_PICKLE; before version 3 numpy finds out by itself.
    need(not dtype.objects or (type(version) is int and (version < 3 or flags & 3 == 3)))


def _two(value: object) -> tuple[object, object]:
    pair = expect(value, tuple)
    need(len(pair) == 2)
    return pair[0], pair[1]


def _part(whole: NumpyDtype, part: object) -> int:
    """Bytes of an element's part."""
    element = expect(part, NumpyDtype)
    element.closed = True
    whole.objects = whole.objects or element.objects
    return element.itemsize


def set_state(target: object, state: object) -> bool:
    """BUILD on a numpy object; False when it is none. Raises UnexpectedArgument."""
    if isinstance(target, NumpyDtype):
        _set_dtype(target, state)
        return True
    if isinstance(target, Tensor) and target.kind == "numpy":
        parts = expect(state, tuple)
        need(target.storage is None)
        if (
            len(parts) == 7
        ):  # MaskedArray.__setstate__: the mask, and what stands for a masked element
            need(as_span(parts[5]) is not None or isinstance(parts[5], str))
            need(held.is_data(parts[6]) and target.subclass == "masked")
            target.masked = parts[5], parts[6]
            parts = parts[:5]
        need(len(parts) in {4, 5})
        fill(target, *parts[-4:], native=True)
        return True
    return False


BUILDERS: dict[str, Callable[[Call], object]] = {
    "numpy.dtype": _dtype,
    "dill._dill._create_array": _of_dill,
    "numpy.ma.core._mareconstruct": _masked,
    **{
        f"numpy.{core}.{name}": builder
        for core in ("core", "_core")
        for name, builder in (
            ("_ufunc_reconstruct", _ufunc),
            ("multiarray._reconstruct", _blank),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
}
