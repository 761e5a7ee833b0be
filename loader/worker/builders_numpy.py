"""numpy's arrays, scalars and dtypes as a pickle builds them, without numpy. Zone: worker.

The formats are those of numpy/_core/src/multiarray/methods.c (array_setstate) and descriptor.c
(arraydescr_setstate).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safe_load.worker.dtypes import NumpyDtype
from safe_load.worker.odd import OddError, expect, integers, need
from safe_load.worker.sources import as_span
from safe_load.worker.values import Global, Storage, Stub, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.builders import Call


def _blank(call: Call) -> object:
    cls = expect(call.take(3, 3)[0], Global)
    if cls.name != "numpy.ndarray":
        if not cls.allowed:
            call.world.ledger.called(cls.name, call.opcode, call.at, ())
        return Stub(call.func.name, call.args)
    return Tensor(None, None, 0, (0,), (1,), kind="numpy")


def _dtype(call: Call) -> object:
    letters, _, _ = call.take(1, 3)
    if isinstance(letters, str) and 0 < len(letters) <= 32:
        return NumpyDtype(letters)
    if isinstance(letters, Global):
        return Stub(call.func.name, call.args)  # a structured or a user's own type
    raise OddError


def _scalar(call: Call) -> object:
    dtype, _ = call.take(1, 2)
    need(isinstance(dtype, (NumpyDtype, Stub)))
    return Stub(call.func.name, call.args)


def _from_buffer(call: Call) -> object:
    data, dtype, shape, order = call.take(4, 4)
    array = Tensor(None, None, 0, (0,), (1,), kind="numpy")
    need(expect(order, str) in {"C", "F"})
    fill(array, shape, dtype, order == "F", data)
    return array


def fill(array: Tensor, shape: object, dtype: object, fortran: object, data: object) -> None:
    """Give an array its numbers, or, when it holds objects, its parts."""
    sizes = integers(shape)
    if isinstance(data, list):
        array.parts = dict(enumerate(data))
        return
    if isinstance(data, str):  # Python 2's bytes
        try:
            data = data.encode("latin-1")
        except UnicodeEncodeError:
            raise OddError from None
    span = as_span(data)
    need(span is not None)
    kind = dtype.torch if isinstance(dtype, NumpyDtype) else None
    if span is None or kind is None or not isinstance(dtype, NumpyDtype):
        need(isinstance(dtype, (NumpyDtype, Stub)))
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


def set_state(target: object, state: object) -> bool:
    """BUILD on a numpy object; False when it is none. Raises OddError."""
    if isinstance(target, NumpyDtype):
        parts = expect(state, tuple)
        need(len(parts) >= 8)
        order = expect(parts[1], str)
        need(order in {"<", ">", "=", "|"})
        target.order = order
        target.structured = any(part is not None for part in parts[2:5])
        return True
    if isinstance(target, Tensor) and target.kind == "numpy":
        parts = expect(state, tuple)
        need(len(parts) in {4, 5} and target.storage is None)
        fill(target, *parts[-4:])
        return True
    return False


BUILDERS: dict[str, Callable[[Call], object]] = {
    "numpy.dtype": _dtype,
    **{
        f"numpy.{core}.{name}": builder
        for core in ("core", "_core")
        for name, builder in (
            ("multiarray._reconstruct", _blank),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
}
