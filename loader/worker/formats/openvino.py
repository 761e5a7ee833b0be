"""OpenVINO's model: a graph in XML, whose constants lie in a .bin file beside it. Zone: worker.

Each layer of the type Const says element type, shape, and the place of its bytes in the .bin (docs/articles_en of
OpenVINO, "OpenVINO IR format"). The XML names operations and runs nothing; it is parsed by expat, without declarations
of entities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.parsers import expat

from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.formats.texts import Text
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Span
from safe_load.worker.tensors import places
from safe_load.worker.tensors.key_names import Distinct

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading

_TYPES = {
    "f64": "float64", "f32": "float32", "f16": "float16", "bf16": "bfloat16", "f8e4m3": "float8_e4m3fn",
    "f8e5m2": "float8_e5m2", "f8e8m0": "float8_e8m0fnu", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64", "boolean": "bool",
}  # fmt: skip
MAX_XML = 512 << 20
MAX_DEPTH = 64
_ELEMENTS_DEEP = 400


class OpenVino(Format):
    """The graph, read together with its .bin."""

    name, called, loader = "openvino", "an OpenVINO model", "openvino.Core().read_model"
    weights = (
        "all constants, by the names of their layers; types of less than a byte as packed bytes"
    )
    foreign = True

    def recognise(self, file: File) -> bool:
        """By the element that a graph begins with."""
        head = file.head.lstrip(b"\xef\xbb\xbf \t\r\n")
        return head.startswith((b"<?xml", b"<net")) and b"<net " in head and b"<layers" in head

    def read(self, file: File, reading: Reading) -> Content:
        """The constants, where the .bin is there."""
        Text().read(file, reading)  # what stands in any text
        graph = _Graph()
        graph.parse(file)
        stem = file.name.rpartition("/")[2].removesuffix(".xml")
        beside = f"{stem}.bin"
        numbers = (reading.parts or {}).get(beside)
        why = "a graph of operations"
        if numbers is None:
            if reading.depth == 0:
                reading.claims.append(beside)
            if not graph.constants:
                return Content(self.name, "data", why, loads=False)
            lacks = f"its numbers lie in {beside[:200]!a}, which is read with it: name their folder"
            return Content(self.name, "data", why, lacks=lacks, loads=False)
        places.require_own(numbers)
        content = self._with(graph, numbers, reading)
        content.parts = {beside: _unclaimed(graph, numbers)}
        return content

    def _with(self, graph: _Graph, numbers: File, reading: Reading) -> Content:
        named: places.Named = {}
        given = Distinct()
        span = numbers.span
        for name, kind, shape, offset, size in graph.constants:
            if offset + size > numbers.size:
                raise RefusedError(
                    f"the constant {name[:200]!a} ends at byte {offset + size} of a file of {numbers.size}"
                )
            dtype, sizes = _TYPES.get(kind), shape
            if dtype is None:
                dtype, sizes = "uint8", (size,)
                reading.notes.append(
                    f"{name[:200]!a} is of the type {kind[:20]!a}, {list(shape)}, and is written as packed bytes"
                )
            place = Span(span.source, span.offset + offset, size)
            places.add(named, given(name), places.tensor(dtype, sizes, place))
        return places.content(
            named, self.name, reading, why="a graph of operations and its constants"
        )


def _unclaimed(graph: _Graph, numbers: File) -> str:
    """Why not all bytes of the .bin are of constants, "" where they are: what fills up is zeros."""
    end = 0
    for _, _, _, offset, size in sorted(graph.constants, key=lambda each: each[3]):
        if offset > end and _says_something(numbers, end, offset):
            return f"its bytes {end} to {offset} belong to no constant of the graph"
        end = max(end, offset + size)
    if _says_something(numbers, end, numbers.size):
        return f"its bytes from {end} on belong to no constant of the graph"
    return ""


def _says_something(file: File, begin: int, end: int) -> bool:
    return any(bytes(chunk).strip(b"\0") for chunk in file.span.chunks(begin, max(0, end - begin)))


class _Graph:
    """constants: name, element type, shape, offset and bytes of each."""

    def __init__(self) -> None:
        self.constants: list[tuple[str, str, tuple[int, ...], int, int]] = []
        #: Names and types of the layers that are open; how many elements are.
        self._layers: list[tuple[str, str]] = []
        self._depth = 0

    def parse(self, file: File) -> None:
        """Raises RefusedError."""
        if file.size > MAX_XML:
            raise RefusedError(f"the graph takes {file.size} bytes")
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = _declared
        try:
            for chunk in file.span.chunks(0, file.size):
                parser.Parse(bytes(chunk), False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise RefusedError(f"the graph is no XML: {error}") from None

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _ELEMENTS_DEEP:
            raise RefusedError(
                f"the elements of the graph are nested more than {_ELEMENTS_DEEP} deep"
            )
        if tag == "layer":
            if len(self._layers) >= MAX_DEPTH:
                raise RefusedError(f"graphs are nested more than {MAX_DEPTH} deep in each other")
            self._layers.append((attributes.get("name", ""), attributes.get("type", "")))
        elif tag == "data" and self._layers and self._layers[-1][1] == "Const":
            self._constant(attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if tag == "layer" and self._layers:
            self._layers.pop()

    def _constant(self, attributes: dict[str, str]) -> None:
        if len(self.constants) >= places.MAX_TENSORS:
            raise bomb(f"the graph holds more than {places.MAX_TENSORS} constants")
        name = ".".join(each for each, _ in self._layers)
        try:
            offset, size = _number(attributes["offset"]), _number(attributes["size"])
            shape = tuple(
                map(_number, filter(None, map(str.strip, attributes["shape"].split(","))))
            )
            kind = attributes["element_type"]
        except (KeyError, ValueError):
            raise RefusedError(f"the constant {name[:200]!a} does not say where it lies") from None
        self.constants.append((name, kind, shape, offset, size))


def _number(text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ValueError
    return int(text)


def _declared(*_: object) -> None:
    raise RefusedError("the graph declares entities, which no program of OpenVINO writes")
