"""pyarrow's arrays as a pickle builds them, which pandas holds its texts in. Zone: worker.

`_restore_array` makes an array of buffers and believes every length and offset, so each is checked here: one that
leads out of its buffer would be a wild address. The formats are those of pyarrow/array.pxi (_restore_array)
and https://arrow.apache.org/docs/format/Columnar.html.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.arguments import expect, fields, integer, need
from safe_load.worker.pickle_vm.values import Stub
from safe_load.worker.spans import as_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.calls import Call
    from safe_load.worker.spans import Span

#: What a checked array is made by; its one argument is its length.
RESTORED = _RESTORE = "pyarrow.lib._restore_array"
_BUFFER = "pyarrow.lib.py_buffer"
#: Name of a type -> bits of an element.
_FIXED = {
    "bool": 1,
    "int8": 8,
    "int16": 16,
    "int32": 32,
    "int64": 64,
    "uint8": 8,
    "uint16": 16,
    "uint32": 32,
}
_FIXED |= {
    "uint64": 64,
    "halffloat": 16,
    "float": 32,
    "double": 64,
    "date32[day]": 32,
    "date64[ms]": 64,
}
_FIXED |= {
    "float16": 16,
    "float32": 32,
    "float64": 64,
    "date32": 32,
    "date64": 64,
    "f2": 16,
    "f4": 32,
    "f8": 64,
}
_FIXED |= {"time32[s]": 32, "time32[ms]": 32, "time64[us]": 64, "time64[ns]": 64}
_FIXED |= {
    f"{kind}[{unit}]": 64 for kind in ("duration", "timestamp") for unit in ("s", "ms", "us", "ns")
}
#: Name of a type of texts or bytes -> bytes of an offset.
_TEXTS = {
    "string": 4,
    "utf8": 4,
    "binary": 4,
    "large_string": 8,
    "large_utf8": 8,
    "large_binary": 8,
}
MAX_TEXTS = 10_000_000
#: A type whose elements have a fixed size, by what made it.
_MOMENTS = frozenset({"pyarrow.lib.timestamp", "pyarrow.lib.duration"})


def _type(call: Call) -> object:
    (name,) = call.take(1, 1)
    need(expect(name, str) in _FIXED or name in _TEXTS or name == "null")
    return Stub(call.func.name, call.args)


def _moment(call: Call) -> object:
    unit, zone = call.take(1, 2)
    need(unit in {"s", "ms", "us", "ns"} and (zone is None or len(expect(zone, str)) <= 64))
    return Stub(call.func.name, call.args)


def _buffer(call: Call) -> object:
    need(as_span(call.take(1, 1)[0]) is not None)
    return Stub(call.func.name, call.args)


def _array(call: Call) -> object:
    kind, length, _, offset, buffers, children, dictionary, *_ = fields(call.take(1, 1)[0], 7, 8)
    end = integer(length) + integer(offset)
    need(end < 1 << 48 and children in ([], ()) and dictionary is None)
    spans = [_span(buffer) for buffer in expect(buffers, list)]
    made = expect(kind, Stub)
    need(1 <= len(spans) <= 3 and isinstance(made.args, tuple))
    if spans[0] is not None:
        need(spans[0].length * 8 >= end)
    name = made.args[0] if made.made_by == "pyarrow.lib.type_for_alias" else ""  # type: ignore[index]
    if name in _TEXTS:
        need(len(spans) == 3)
        _check_texts(spans[1], spans[2], end, _TEXTS[name])
    elif name != "null":
        bits = 64 if made.made_by in _MOMENTS else _FIXED.get(name, 0)
        need(bits and len(spans) == 2 and (not end or spans[1] is not None))
        need(spans[1] is None or spans[1].length * 8 >= end * bits)
    return Stub(RESTORED, (integer(length),))


def _span(buffer: object) -> Span | None:
    if buffer is None:
        return None
    stub = expect(buffer, Stub)
    need(stub.made_by == _BUFFER and isinstance(stub.args, tuple))
    return as_span(stub.args[0])  # type: ignore[index]


def _check_texts(offsets: Span | None, data: Span | None, count: int, width: int) -> None:
    """Each text begins where the one before it ends, and the last ends within the data."""
    need(count <= MAX_TEXTS)
    if offsets is None or not offsets.length:
        need(not count)
        return
    need(offsets.length >= (count + 1) * width)
    values = memoryview(bytes(offsets.read(0, (count + 1) * width))).cast(
        "q" if width == 8 else "i"
    )
    need(values[0] >= 0 and all(a <= b for a, b in pairwise(values)))
    need(values[-1] <= (0 if data is None else data.length))


BUILDERS: dict[str, Callable[[Call], object]] = {
    "pyarrow.lib.type_for_alias": _type,
    "pyarrow.lib.timestamp": _moment,
    "pyarrow.lib.duration": _moment,
    _BUFFER: _buffer,
    _RESTORE: _array,
}
