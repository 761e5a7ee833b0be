"""The tensors of ONNX models: where the numbers of a TensorProto lie. Zone: worker.

What onnx.numpy_helper.to_array gives is what comes out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MAX_INFLATED, Pieces, Source, Span
from safe_load.worker.tensors import places

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading
    from safe_load.worker.pickle_vm.values import Tensor

MAX_RANK = 64
#: Numbers of a tensor that stand one by one, each with a tag of its own.
MAX_SINGLE = 1_000_000
#: Number of an element type -> what torch calls it (TensorProto.DataType).
_TYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
}
_TYPES |= {
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
}
_TYPES |= {16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2"}
_TYPES |= {20: "float8_e5m2fnuz", 24: "float8_e8m0fnu"}
#: Those that are packed, low bits first: name and bits.
_SMALL = {
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4e2m1", 4),
    25: ("uint2", 2),
    26: ("int2", 2),
    27: ("float6e2m3", 6),
    28: ("float6e3m2", 6),
}
TEXTS = 8
#: Fields of numbers: bytes of each, 0 for varints.
_FIELDS = {4: 4, 5: 0, 7: 0, 10: 8, 11: 0}


def leaves_folder(location: str) -> bool:
    """Whether a path names what lies outside of the model's folder, on any system."""
    steps = location.replace("\\", "/").split("/")
    return (
        ".." in steps
        or location.startswith(("/", "\\"))
        or location[1:2] == ":"
        or "://" in location
        or "\0" in location
    )


class Varints(Source):
    """Numbers that a protocol buffer holds as varints, as little-endian ones. width: bytes of each."""

    __slots__ = ("_data", "_spans", "_width")
    computed = True

    def __init__(self, spans: list[Span], count: int, width: int) -> None:
        super().__init__(count * width)
        self._spans = spans
        self._width = width
        self._data: bytes | None = None

    def buffer(self) -> bytes:
        """All of them. Raises RefusedError where there are not so many."""
        if self._data is None:
            if max(self.size, sum(span.length for span in self._spans)) > MAX_INFLATED:
                raise RefusedError(
                    f"a tensor has {self.size} bytes in a field of single numbers: save the model with raw data"
                )
            made = bytearray()
            mask, width = (1 << 8 * self._width) - 1, self._width
            for span in self._spans:
                value = shift = 0
                for byte in span.whole():
                    value |= (byte & 0x7F) << shift
                    shift += 7
                    if byte < 0x80:
                        made += (value & mask).to_bytes(width, "little")
                        value = shift = 0
                    elif shift > 63:
                        raise RefusedError("a number of a tensor is too long")
                if shift:
                    raise RefusedError("a tensor ends in the middle of a number")
            if len(made) != self.size:
                raise RefusedError(
                    f"a tensor has {len(made) // width} numbers, its shape says {self.size // width}"
                )
            self._data = bytes(made)
        return self._data

    def read(self, offset: int, length: int) -> bytes:
        part = self.buffer()[offset : offset + length]
        if offset + length >= self.size:
            self._data = None  # of many tensors, one is in memory
        return part


@dataclass
class Fields:
    """What a TensorProto says. numbers: field -> where its bytes lie; outside: its external_data."""

    name: str = ""
    shape: list[int] = field(default_factory=list)
    kind: int = 0
    raw: Span | None = None
    numbers: dict[int, list[Span]] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    external: bool = False
    segmented: bool = False


def pair(file: File, start: int, length: int, longest: int = 4096) -> tuple[str, str]:
    """A StringStringEntryProto: key and value, each of at most `longest` bytes."""
    cursor = Cursor(file, start, start + length)
    found = {1: "", 2: ""}
    while not cursor.done:
        key = cursor.varint()
        size = cursor.varint()
        at = cursor.position
        cursor.skip(size)
        found[key >> 3] = file.read(at, min(size, longest)).decode("utf-8", "replace")
    return found[1], found[2]


def parts(file: File, start: int, length: int, sparse: bool) -> list[tuple[str, Fields]]:
    """The tensors of an initialiser, with their names: a sparse one has two."""
    if not sparse:
        whole = fields(file, start, length)
        return [(whole.name, whole)]
    cursor = Cursor(file, start, start + length)
    found: list[Fields] = []
    while not cursor.done:
        key = cursor.varint()
        if key & 7 == 0:
            cursor.varint()
            continue
        size = cursor.varint()
        if key >> 3 in (1, 2):
            found.append(fields(file, cursor.position, size))
        cursor.skip(size)
    name = next((each.name for each in found if each.name), "")
    return [
        (f"{name}.{part}", each) for part, each in zip(("values", "indices"), found, strict=False)
    ]


def fields(file: File, start: int, length: int) -> Fields:
    """What a TensorProto says. The walk has been over it."""
    cursor = Cursor(file, start, start + length)
    span, base = file.span.source, file.span.offset
    found = Fields()
    while not cursor.done:
        key = cursor.varint()
        number, wire = key >> 3, key & 7
        at = cursor.position
        if wire == 2:
            size = cursor.varint()
            at = cursor.position
            cursor.skip(size)
            _field(found, number, Span(span, base + at, size), file, at)
        elif wire == 0:
            value = cursor.varint()
            if number == 1:
                found.shape.append(value)
            elif number == 2:
                found.kind = value
            elif number == 14:
                found.external = value == 1
            elif number in _FIELDS:
                found.numbers.setdefault(number, []).append(
                    Span(span, base + at, cursor.position - at)
                )
        else:
            width = 4 if wire == 5 else 8
            cursor.skip(width)
            found.numbers.setdefault(number, []).append(Span(span, base + at, width))
    if found.raw is None and not found.numbers and "location" in found.outside:
        found.external = True
    if len(found.shape) > MAX_RANK:
        raise RefusedError(f"a tensor has {len(found.shape)} dimensions, more than {MAX_RANK}")
    return found


def _field(fields: Fields, number: int, span: Span, file: File, at: int) -> None:
    """One field with a length."""
    if number == 1:
        inner = Cursor(file, at, at + span.length)
        while not inner.done and len(fields.shape) <= MAX_RANK:
            fields.shape.append(inner.varint())
    elif number == 8:
        fields.name = file.read(at, min(span.length, 2000)).decode("utf-8", "replace")
    elif number == 9:
        fields.raw = span
    elif number == 3:
        fields.segmented = True
    elif number in _FIELDS:
        fields.numbers.setdefault(number, []).append(span)
    elif number == 13:
        key, value = pair(file, at, span.length)
        if key in fields.outside:
            raise RefusedError(f"the tensor {fields.name[:200]!a} says {key[:40]!a} twice")
        fields.outside[key] = value


def tensor(fields: Fields, reading: Reading) -> Tensor | None:
    """The tensor, None for one of texts. Raises RefusedError."""
    where = f"the tensor {fields.name[:200]!a}"
    shape, kind = tuple(fields.shape), fields.kind
    if kind == TEXTS:
        reading.notes.append(f"{where} holds texts, and is left out")
        return None
    if fields.segmented:
        raise RefusedError(f"{where} is stored in segments, which no runtime reads")
    try:
        if kind in _SMALL:
            called, bits = _SMALL[kind]
            if bits == 6 and fields.raw is None and not fields.external:
                bits = 8  # one by one in the field of integers
            count = -(-math.prod(shape) * bits // 8)
            shown = "x".join(map(str, shape))
            small = places.tensor("uint8", (count,), _place(fields, count, 1, reading))
            small.note = f"onnx={called} of {shown}"
            reading.notes.append(
                f"{where} is {called}, which safetensors lacks; it is written as bytes, {bits} bits for a number"
            )
            return small
        if kind not in _TYPES:
            raise RefusedError(f"it is of the element type {kind}, which is unknown")
        size = places.nbytes(_TYPES[kind], shape)
        width = size // math.prod(shape) if size else 1
        return places.tensor(_TYPES[kind], shape, _place(fields, size, width, reading))
    except RefusedError as refusal:
        raise RefusedError(f"{where}: {refusal.reason}", refusal.status) from None


def _place(fields: Fields, size: int, width: int, reading: Reading) -> Span:
    """Where the numbers lie, of which there are `size` bytes. Raises RefusedError."""
    if fields.external:
        assert reading.parts is not None  # noqa: S101 - `_beside` has looked
        file = reading.parts[fields.outside["location"].removeprefix("./")]
        places.require_own(file)
        offset = _natural(fields.outside.get("offset", "0"))
        length = _natural(fields.outside.get("length", str(size)))
        if length != size or offset + length > file.size:
            raise RefusedError(
                f"its shape takes {size} bytes; {length} bytes at byte {offset} of a file of {file.size} are named"
            )
        return Span(file.span.source, file.span.offset + offset, size)
    if fields.raw is not None:
        return fields.raw
    if len(fields.numbers) > 1:
        raise RefusedError("its numbers lie in two fields")
    for number, spans in fields.numbers.items():
        if not _FIELDS[number]:
            source: Source = Varints(spans, size // width, width)
            return Span(source, 0, source.size)
        if len(spans) == 1:
            return spans[0]
        if len(spans) > MAX_SINGLE:
            raise RefusedError(
                f"it has {len(spans)} numbers one by one: save the model with raw data"
            )
        source = Pieces(spans)
        return Span(source, 0, source.size)
    if size:
        raise RefusedError("it has no numbers")
    return Span(Varints([], 0, 1), 0, 0)


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise RefusedError(f"{text[:40]!a} is no number of bytes")
    return int(text)
