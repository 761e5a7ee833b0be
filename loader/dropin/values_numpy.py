"""Values of numpy as pickles call for them. Zone: the caller's process.

A closed table, as values_python. Nothing here unpickles: numbers are read from bytes, types from the
letters and tables that numpy itself writes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from safe_load.dropin.called import Found
from safe_load.dropin.stored import SMALL
from safe_load.worker.tensors.dtypes import is_numpy_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.dropin.called import Called

_MAX_FIELDS = 10_000
#: Fields of a structure of structures: numpy goes over each of them for each copy, however they share.
_MAX_NESTED = 500
_MAX_EMPTY = 1 << 20


def array(
    dtype: Any, shape: list[int], fortran: bool, data: memoryview | None, objects: Any
) -> np.ndarray[Any, Any]:
    """An array of bytes, or of objects. Raises ValueError where they do not fit its shape."""
    if not isinstance(dtype, np.dtype):
        raise TypeError("no type of elements")
    order: Literal["F", "C"] = "F" if fortran else "C"
    count = math.prod(shape)
    if dtype.hasobject:
        if dtype != np.dtype(object) or not isinstance(objects, list) or len(objects) != count:
            raise TypeError("objects within a structure")
        made = np.empty(count, dtype=object)
        for place, value in enumerate(objects):
            made[place] = value
        # A pickle has objects in the order of the array, whichever that is.
        return made.reshape(shape, order=order)
    if data is None or len(data) != count * dtype.itemsize:
        raise ValueError("its bytes do not fit its shape")
    if count > _MAX_EMPTY and not len(data):
        raise ValueError(
            "more elements of no size than memory holds"
        )  # numpy makes them a byte each
    if not len(data):
        return np.empty(shape, dtype=dtype, order=order)
    flat = np.frombuffer(data, dtype=dtype)
    if len(data) <= SMALL:
        flat = flat.copy()
    return flat.reshape(shape, order=order)


def in_native_order(made: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """As unpickling leaves it (methods.c, array_setstate)."""
    if made.dtype.isnative or made.dtype.names is not None:
        return made
    return made.astype(made.dtype.newbyteorder("="), order="K")


def of_class(made: np.ndarray[Any, Any], kind: str, fortran: bool, masked: Any) -> Any:
    """The array as the class that the file says. masked: the bytes of the mask, and what stands for a masked element. Raises
    ValueError, TypeError."""
    match kind:
        case "matrix":
            return made.view(np.matrix)
        case "recarray":
            return made.view(np.recarray)
        case "chararray":
            return made.view(np.char.chararray)
        case "masked":
            return _masked(made, fortran, *masked)
    return made


#: What may stand for a masked element. numpy asks others how they are arrays.
_FILLINGS = (int, float, complex, str, bytes, np.generic, type(None))


def _masked(made: np.ndarray[Any, Any], fortran: bool, mask: Any, filling: Any) -> Any:
    dtype = np.ma.make_mask_descr(made.dtype)
    data = mask.encode("latin-1") if isinstance(mask, str) else bytes(mask)
    if len(data) != made.size * dtype.itemsize:
        raise ValueError("its mask does not fit its shape")
    if isinstance(filling, np.ndarray):
        filling = filling[()]
    if not isinstance(filling, _FILLINGS):
        raise TypeError("nothing that stands for an element")
    flat = np.frombuffer(bytearray(data), dtype=dtype)
    order: Literal["F", "C"] = "F" if fortran else "C"
    array = np.ma.MaskedArray(made, mask=flat.reshape(made.shape, order=order))
    array.fill_value = filling
    return array


_TYPES = (
    *("bool_", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "longdouble", "complex64", "complex128", "str_", "bytes_"),
    *("datetime64", "timedelta64", "ndarray", "dtype", "generic", "number", "floating", "integer"),
)
_NAMES: dict[str, Any] = {
    f"numpy.{name}": getattr(np, name) for name in _TYPES if hasattr(np, name)
}


def named(dotted: str) -> Found | None:
    """What may be given out under that name."""
    return Found(_NAMES[dotted]) if dotted in _NAMES else None


def _dtype(called: Called) -> Any:
    made = _plain_dtype(called)
    return np.dtype((np.record, made)) if called.args[1:] == ("record",) else made


def _plain_dtype(called: Called) -> Any:
    letters = called.args[0]
    if letters in (np.record, np.void):
        letters = "V0"
    if not is_numpy_type(letters):
        raise TypeError("no type that numpy writes")
    if not called.states:
        return np.dtype(letters)
    (state,) = called.states
    _, order, base, names, fields, size, _, flags = state[:8]
    if base is not None:
        element, sizes = base
        return np.dtype((_checked(element), tuple(sizes) if isinstance(sizes, tuple) else sizes))
    if names is not None:
        return _structured(names, fields, size, aligned=bool(flags & 0x80))
    if letters[-1:] in "SUV" or letters[0] in "SUV":
        width = size // 4 if letters.lstrip("<>=|")[0] == "U" else size
        kind = letters.lstrip("<>=|")[0]
        letters = f"{kind}{max(width, 0)}" if size >= 0 else letters
    elif letters.lstrip("<>=|")[0] in "Mm" and len(state) > 8:
        letters = letters.lstrip("<>=|") + _unit(state[8])
    return np.dtype((order if order in ("<", ">") else "") + letters.lstrip("<>=|"))


def _checked(dtype: Any) -> Any:
    if not isinstance(dtype, np.dtype):
        raise TypeError("no type of elements")
    return dtype


def _structured(names: Any, fields: Any, size: int, *, aligned: bool) -> Any:
    if len(names) > _MAX_FIELDS:
        raise ValueError("more fields than any table has")
    parts = [fields[name] for name in names]
    counts = [_fields(_checked(part[0])) for part in parts]
    if any(count > 1 for count in counts) and sum(counts) >= _MAX_NESTED:
        raise ValueError("more fields than any table has")
    table: dict[str, Any] = {
        "names": [str(name) for name in names],
        "formats": [_checked(part[0]) for part in parts],
        "offsets": [int(part[1]) for part in parts],
        "itemsize": int(size),
    }
    if any(len(part) > 2 for part in parts):
        table["titles"] = [part[2] if len(part) > 2 else None for part in parts]
    return np.dtype(table, align=aligned)  # type: ignore[call-overload]


def _fields(dtype: Any) -> int:
    dtype = dtype.base
    if dtype.names is None:
        return 1
    if len(dtype.names) >= _MAX_NESTED:
        return _MAX_NESTED
    return 1 + sum(_fields(dtype.fields[name][0]) for name in dtype.names)


_UNITS = frozenset("Y M W D h m s ms us ns ps fs as".split())


def _unit(metadata: Any) -> str:
    """As datetime_metadata of a pickle: (a dict, (unit, number, denominator, event))."""
    unit, number = metadata[1][0], metadata[1][1]
    text = unit.decode() if isinstance(unit, bytes) else unit
    if text == "generic":
        return ""
    if text not in _UNITS:
        raise ValueError("no unit of time")
    return f"[{int(number)}{text}]"


def _scalar(called: Called) -> Any:
    dtype, *data = called.args
    if _checked(dtype).hasobject:
        raise TypeError("an object")
    (held,) = data
    raw = held.encode("latin-1") if isinstance(held, str) else held
    if type(raw) not in (bytes, bytearray):
        raise TypeError("no bytes")
    if dtype.itemsize == 0:
        return np.zeros((), dtype)[()]
    if len(raw) != dtype.itemsize:
        raise ValueError("its bytes do not fit its type")
    return np.frombuffer(raw, dtype=dtype, count=1).copy()[0]


MAKERS: dict[str, Callable[[Called], Any]] = {
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
}
