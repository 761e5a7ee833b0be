"""GGUF models (llama.cpp): tables of settings and of tensors, then their numbers. Zone: worker.

The layout is that of ggml/docs/gguf.md; the types and the sizes of their blocks are those of ggml-common.h.
Numbers that are not quantised are copied from the file as they are. Quantised ones are computed by the gguf
package, which llama.cpp's own project maintains, a few blocks at a time.
"""

from __future__ import annotations

import json
import math
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format, LibraryError
from safe_load.worker.formats.template_text import reaches
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Source, Span
from safe_load.worker.tensors import places

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.formats.interface import File, Reading
    from safe_load.worker.pickle_vm.values import Tensor

MAX_ITEMS = 10_000_000
MAX_TENSORS = 200_000
MAX_TEXT = 64 << 20
#: Values of an array that are kept as a setting.
MAX_LISTED = 64
#: Kinds of values in the order of the format: bytes of each, 0 for what has its own length; and how struct reads it.
_SIZES = (1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8)
_STRUCT = ("B", "b", "H", "h", "I", "i", "f", "?", "", "", "Q", "q", "d")
_STRING, _ARRAY = 8, 9
#: What begins a part of a template that is not text.
_OPENS = re.compile(rb"\{[{%]")
#: Number of a type -> what torch calls it.
_PLAIN = {0: "float32", 1: "float16", 24: "int8", 25: "int16", 26: "int32", 27: "int64", 28: "float64", 30: "bfloat16"}  # fmt: skip
#: Number of a quantised type -> its name, numbers in a block, bytes of a block.
_BLOCKS = {
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56),
    31: ("Q4_0_4_4", 32, 18),
    32: ("Q4_0_4_8", 32, 18),
    33: ("Q4_0_8_8", 32, 18),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    36: ("IQ4_NL_4_4", 32, 18),
    37: ("IQ4_NL_4_8", 32, 18),
    38: ("IQ4_NL_8_8", 32, 18),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}


class Dequantised(Source):
    """The numbers of quantised blocks as float32. compute: what makes them of the bytes of whole blocks."""

    __slots__ = ("_block", "_bytes", "_compute", "_span")
    computed = True

    def __init__(
        self, span: Span, kind: tuple[str, int, int], compute: Callable[[bytes], bytes]
    ) -> None:
        _, numbers, self._bytes = kind
        self._block = 4 * numbers
        self._span = span
        self._compute = compute
        super().__init__(span.length // self._bytes * self._block)

    def read(self, offset: int, length: int) -> bytes:
        first, last = offset // self._block, -(-(offset + length) // self._block)
        data = self._span.read(first * self._bytes, (last - first) * self._bytes)
        start = offset - first * self._block
        return self._compute(bytes(data))[start : start + length]

    def buffer(self) -> bytes:
        return self.read(0, self.size)


@dataclass(frozen=True)
class _Listed:
    """A line of the table of tensors. offset: bytes into the data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    def nbytes(self) -> int:
        """Raises RefusedError."""
        count = math.prod(self.shape)
        if self.kind in _PLAIN:
            return places.nbytes(_PLAIN[self.kind], self.shape)
        if self.kind not in _BLOCKS:
            raise RefusedError(
                f"the tensor {self.name[:200]!a} is of the type {self.kind}, which is unknown"
            )
        called, numbers, size = _BLOCKS[self.kind]
        if not self.shape or self.shape[-1] % numbers:
            raise RefusedError(
                f"the tensor {self.name[:200]!a} of shape {list(self.shape)} does not fill blocks of {called}"
            )
        return count // numbers * size


@dataclass
class _Tables:
    """What the beginning of a file says."""

    alignment: int = 32
    settings: dict[str, str] = field(default_factory=dict)
    listed: list[_Listed] = field(default_factory=list)
    left: int = MAX_ITEMS


class Gguf(Format):
    """A GGUF file: data, when its tables are well-formed and account for every byte."""

    name, called, loader = "gguf", "a GGUF model", "llama.cpp, or gguf.GGUFReader"
    weights = "all; quantised ones as float32, by the gguf package, or as blocks (`--quantised`); settings as metadata"
    hides = "chat templates that run code where they are rendered; sizes that lie"
    libraries = ("gguf", "numpy")
    foreign = True

    def recognise(self, file: File) -> bool:
        """By its magic."""
        return file.head.startswith(b"GGUF")

    def read(self, file: File, reading: Reading) -> Content:
        """Its tensors; a chat template that reaches for more than text is told."""
        cursor = Cursor(file, 4)
        tables = _tables(cursor, reading)
        begin = -(-cursor.position // tables.alignment) * tables.alignment
        end = _extent(tables, begin, file.size)
        if file.size - max(end, cursor.position) >= tables.alignment:
            raise RefusedError(f"{file.size - end} bytes follow the last tensor")
        content = Content(self.name, "data", "a GGUF model: settings and numbers", loads=False)
        blocks = reading.choice.quantised == "blocks"
        try:
            compute = _computer(tables, reading) if reading.wanted and not blocks else _nothing
        except LibraryError as error:
            content.lacks = f"its tensors are quantised, and {error.reason}"
            return content
        named: places.Named = {}
        for each in tables.listed:
            span = Span(file.span.source, file.span.offset + begin + each.offset, each.nbytes())
            tensor = _blocks(each, span) if blocks else _tensor(each, span, compute)
            places.add(named, each.name, tensor)
        places.require_room(named, reading)
        if tables.listed:
            settings = {f"gguf.{key}": text for key, text in tables.settings.items()}
            return places.content(
                named,
                self.name,
                reading,
                why="a GGUF model: settings and numbers",
                settings=settings,
            )
        content.lacks = "it is a GGUF file of settings and a vocabulary, without tensors"
        return content


def _tables(cursor: Cursor, reading: Reading) -> _Tables:
    version = cursor.number(4)
    if version not in (2, 3):
        raise RefusedError(f"the GGUF version {version} is unknown")
    tensors, settings = cursor.number(8), cursor.number(8)
    if tensors > MAX_TENSORS or settings > MAX_TENSORS:
        raise bomb(
            f"the header names {tensors} tensors and {settings} settings, more than {MAX_TENSORS}"
        )
    tables = _Tables()
    seen: set[bytes] = set()
    twice: bytes | None = None
    for _ in range(settings):
        key = _string(cursor)
        twice = key if key in seen else twice
        seen.add(key)
        value = _value(cursor, tables, key, reading)
        if key == b"general.alignment":
            if type(value) is not int or value < 8 or value % 8 or value > 1 << 20:
                raise RefusedError(f"the alignment of {value} bytes is not valid")
            tables.alignment = value
        if value is not None and len(tables.settings) < places.MAX_SETTINGS:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            tables.settings[key.decode("utf-8", "replace")] = text
    if (
        twice is not None
    ):  # only now: readers differ in which of them they take, and both are judged
        raise RefusedError(f"the setting {twice[:200]!a} stands there twice")
    tables.listed = [_line(cursor) for _ in range(tensors)]
    return tables


def _string(cursor: Cursor) -> bytes:
    length = cursor.number(8)
    if length > MAX_TEXT:
        raise bomb(f"a text of {length} bytes is longer than {MAX_TEXT >> 20} MiB")
    return cursor.take(length)


def _value(cursor: Cursor, tables: _Tables, key: bytes, reading: Reading) -> object:
    """Go over a setting. Returns its value, None for a long list."""
    kind = cursor.number(4)
    listed = kind == _ARRAY
    count = 1
    if listed:
        kind, count = cursor.number(4), cursor.number(8)
    if kind >= len(_SIZES) or kind == _ARRAY:
        raise RefusedError(f"a value of an unknown kind at byte {cursor.position}")
    tables.left -= count if kind == _STRING else 0
    if tables.left < 0:
        raise bomb(f"the file holds more than {MAX_ITEMS} texts")
    short = count <= MAX_LISTED
    if kind == _STRING:
        texts = []
        for _ in range(count):
            text = _string(cursor)
            _look_at(text, key, reading)
            if short:
                texts.append(text.decode("utf-8", "replace"))
        values: list[Any] = texts
    elif short:
        size = _SIZES[kind] * count
        values = [each for (each,) in struct.iter_unpack(f"<{_STRUCT[kind]}", cursor.take(size))]
    else:
        cursor.skip(_SIZES[kind] * count)
        values = []
    if not listed:
        return values[0]
    return values if short else None


def _look_at(text: bytes, key: bytes, reading: Reading) -> None:
    # Whatever its key: readers differ in which they render.
    if _OPENS.search(text) and reaches(text):
        reading.carries(
            "SL504",
            f"holds a chat template under {key[:100]!a} that does more than build text",
        )


def _line(cursor: Cursor) -> _Listed:
    name = _string(cursor)
    dimensions = cursor.number(4)
    if dimensions > 8:
        raise RefusedError(f"a tensor has {dimensions} dimensions, more than 8")
    shape = [cursor.number(8) for _ in range(dimensions)]
    if math.prod(size or 1 for size in shape) > 1 << 56:
        raise RefusedError("a tensor has more elements than a file can hold")
    kind = cursor.number(4)
    # The format says the fastest dimension first, torch and numpy last.
    return _Listed(name.decode("utf-8", "replace"), tuple(reversed(shape)), kind, cursor.number(8))


def _extent(tables: _Tables, begin: int, size: int) -> int:
    """Where the last tensor ends. Raises RefusedError unless they lie one behind the other, as llama.cpp asks."""
    at = 0
    for each in sorted(tables.listed, key=lambda each: (each.offset, each.nbytes())):
        nbytes = each.nbytes()
        where = f"the tensor {each.name[:200]!a}"
        if each.offset % tables.alignment or each.offset < at:
            raise RefusedError(f"{where} overlaps another one, or is not aligned")
        if each.offset - at >= tables.alignment:
            raise RefusedError(f"there is a hole before {where}")
        at = each.offset + nbytes
        if begin + at > size:
            raise RefusedError(
                f"{where} ends at byte {begin + at}, and the file at byte {size}: it is cut off, or its sizes are false"
            )
    return begin + at


def _nothing(kind: int) -> Callable[[bytes], bytes]:  # noqa: ARG001 - stands for _computer's
    """For a scan, which looks at no number."""
    return bytes


def _computer(tables: _Tables, reading: Reading) -> Callable[[int], Callable[[bytes], bytes]]:
    """What gives, for a type, the function that computes its numbers. Raises RefusedError for types that the
    package does not dequantise, and LibraryError without it."""
    kinds = {each.kind for each in tables.listed} - _PLAIN.keys()
    if not kinds:
        return _nothing
    numpy = reading.library("numpy", "numpy")
    gguf = reading.library("gguf", "gguf")
    traits = reading.library("gguf.quants", "gguf")
    known = {int(kind) for kind in traits._type_traits}
    if unknown := sorted(_BLOCKS[kind][0] for kind in kinds - known):
        raise LibraryError(f"the installed gguf package does not dequantise {', '.join(unknown)}")

    def of(kind: int) -> Callable[[bytes], bytes]:
        named = gguf.GGMLQuantizationType(kind)

        def compute(data: bytes) -> bytes:
            with numpy.errstate(all="ignore"):
                made = traits.dequantize(numpy.frombuffer(data, numpy.uint8), named)
            return bytes(made.astype("<f4", copy=False).tobytes())

        return compute

    return of


def _tensor(
    each: _Listed, span: Span, compute: Callable[[int], Callable[[bytes], bytes]]
) -> Tensor:
    if each.kind in _PLAIN:
        return places.tensor(_PLAIN[each.kind], each.shape, span)
    source = Dequantised(span, _BLOCKS[each.kind], compute(each.kind))
    return places.tensor("float32", each.shape, Span(source, 0, source.size))


def _blocks(each: _Listed, span: Span) -> Tensor:
    """The same as it lies in the file: quantised blocks are rows of bytes, as gguf.GGUFReader has them."""
    if each.kind in _PLAIN:
        return places.tensor(_PLAIN[each.kind], each.shape, span)
    called, numbers, size = _BLOCKS[each.kind]
    *rows, last = each.shape
    tensor = places.tensor("uint8", (*rows, last // numbers * size), span)
    tensor.note = f"gguf={called} of {'x'.join(map(str, each.shape))}"
    return tensor
