"""Core ML models: a protocol buffer, model.mlmodel, and the numbers of a program in weights/weight.bin. Zone: worker.

Messages and numbers of fields are those of coremltools (mlmodel/format/Model.proto, MIL.proto), the file of numbers is
that of MILBlob/Blob/StorageFormat.hpp: a header, then, wherever the program says, 64 bytes that give type, size and
place of one tensor. A model runs nothing that it brings; a custom model names a class of the program that loads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.worker.formats import coreml_layers
from safe_load.worker.formats.coreml_layers import KINDS, PROGRAM, fields
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Span
from safe_load.worker.tensors import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

#: Where a package keeps the numbers of its model, from the model's folder.
NUMBERS = "weights/weight.bin"
_HEADER, _ENTRY, _SENTINEL = 64, 64, 0xDEAD_BEEF
#: BlobDataType -> torch's name; others are smaller than a byte.
_TYPES = {
    1: "float16", 2: "float32", 3: "uint8", 4: "int8", 5: "bfloat16", 6: "int16", 7: "uint16", 14: "int32",
    15: "uint32", 16: "float8_e4m3fn", 17: "float8_e5m2",
}  # fmt: skip
MAX_BLOCKS = 64


class CoreMl(Format):
    """A model, read together with the numbers of its program."""

    name, called, loader = "coreml", "a Core ML model", "coremltools.models.MLModel"
    weights = "constants of programs (.mlpackage), by the names of their outputs"
    hides = "layers of classes that the loading program has; models and classes that lie elsewhere are not judged"
    foreign = True

    def recognise(self, file: File) -> bool:
        """By its version, its description and the field of its kind."""
        head = file.head
        if len(head) < 8 or head[0] != 8 or not 0 < head[1] < 64 or head[2] != 0x12:
            return False
        try:
            cursor = Cursor(file, 3)
            cursor.skip(cursor.varint())
            return cursor.varint() >> 3 in KINDS | {10}
        except RefusedError:
            return False

    def read(self, file: File, reading: Reading) -> Content:
        """The constants of a program, where its numbers are there."""
        kind, begin, end = coreml_layers.look(file, reading)
        if kind != PROGRAM:
            return Content(self.name, "data", "a Core ML model of numbers and layers", loads=False)
        found = _Program(file)
        found.walk(begin, end)
        why = "a Core ML program, of operations alone"
        numbers = (reading.parts or {}).get(NUMBERS)
        if not found.constants:
            return Content(self.name, "data", why, loads=False)
        if numbers is None:
            lacks = f"its numbers lie in {NUMBERS}, which is read with it: name the .mlpackage that holds both"
            return Content(self.name, "data", why, lacks=lacks, loads=False)
        blobs = MilBlob.entries(numbers)
        named: places.Named = {}
        for constant in found.constants:
            blob = blobs.get(constant.offset)
            if blob is None:
                raise RefusedError(
                    f"no tensor of {NUMBERS} lies where {constant.name[:200]!a} does"
                )
            dtype, span = blob
            shape = constant.shape
            if dtype is None or places.nbytes(dtype, shape) != span.length:
                dtype, shape = "uint8", (span.length,)
                reading.notes.append(f"{constant.name[:200]!a} is written as packed bytes")
            places.add(named, constant.name, places.tensor(dtype, shape, span))
        content = places.content(named, self.name, reading, why=why)
        content.parts = {NUMBERS: ""}
        return content


class MilBlob(Format):
    """The numbers of a program by themselves, without names."""

    name, called, loader = (
        "milblob",
        "numbers of a Core ML program",
        "Core ML, by the model that names them",
    )
    weights = "with the model that names them"

    def recognise(self, file: File) -> bool:
        """By its version, and the word that begins its first entry."""
        head = file.head
        return (
            head[4:8] == b"\2\0\0\0"
            and not any(head[8:_HEADER])
            and head[_HEADER : _HEADER + 4] == _SENTINEL.to_bytes(4, "little")
        )

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data, if its entries account for it."""
        self.entries(file)
        return Content(self.name, "data", "numbers of a Core ML program", loads=False)

    @staticmethod
    def entries(file: File) -> dict[int, tuple[str | None, Span]]:
        """Place of an entry -> its type and bytes. Raises RefusedError where anything but zeros lies between."""
        count = Cursor(file).number(4)
        if count > places.MAX_TENSORS:
            raise bomb(f"it says that it holds {count} tensors")
        found: dict[int, tuple[str | None, Span]] = {}
        at = _HEADER
        for _ in range(count):
            at += -at % _ENTRY
            cursor = Cursor(file, at)
            sentinel, kind = cursor.number(4), cursor.number(4)
            size, begin = cursor.number(8), cursor.number(8)
            if sentinel != _SENTINEL or begin < at + _ENTRY or begin - at - _ENTRY >= _ENTRY:
                raise RefusedError(f"there is no entry at byte {at}")
            cursor.position = begin
            cursor.skip(size)
            found[at] = _TYPES.get(kind), Span(file.span.source, file.span.offset + begin, size)
            at = begin + size
        if any(bytes(chunk).strip(b"\0") for chunk in file.span.chunks(at, file.size - at)):
            raise RefusedError(f"bytes follow its last tensor at byte {at}")
        return found


@dataclass(frozen=True)
class _Constant:
    """A value of the program that lies in the file of numbers. offset: of its entry there."""

    name: str
    shape: tuple[int, ...]
    offset: int


@dataclass
class _Program:
    """The constants of a program (MIL.proto). Raises RefusedError."""

    file: File
    constants: list[_Constant] = field(default_factory=list)

    def walk(self, begin: int, end: int) -> None:
        """Program -> functions -> blocks -> operations, and the blocks within these."""
        left = [coreml_layers.MAX_FIELDS]
        for start, length in self._inner(begin, end, 2, left):  # functions: a map
            for at, size in self._inner(start, start + length, 2, left):
                for block_at, block in self._inner(at, at + size, 3, left):  # of each opset
                    for inner, inner_size in self._inner(block_at, block_at + block, 2, left):
                        self._block(inner, inner + inner_size, left, 0)

    def _inner(
        self, begin: int, end: int, number: int, left: list[int]
    ) -> Iterator[tuple[int, int]]:
        for found, start, length in fields(Cursor(self.file, begin, end), left):
            if found == number:
                yield start, length

    def _block(self, begin: int, end: int, left: list[int], depth: int) -> None:
        if depth > MAX_BLOCKS:
            raise RefusedError(f"blocks are nested more than {MAX_BLOCKS} deep")
        for start, length in self._inner(begin, end, 3, left):
            self._operation(start, start + length, left, depth)

    def _operation(self, begin: int, end: int, left: list[int], depth: int) -> None:
        name, attributes = "", []
        for number, start, length in fields(Cursor(self.file, begin, end), left):
            if number == 3 and not name:
                name = self._text(start, length, 1, left)
            elif number == 4:
                self._block(start, start + length, left, depth + 1)
            elif number == 5:
                attributes.append((start, length))
        for start, length in attributes:
            self._attribute(name, start, start + length, left)

    def _text(self, begin: int, length: int, number: int, left: list[int]) -> str:
        for start, size in self._inner(begin, begin + length, number, left):
            return self.file.read(start, min(size, 1000)).decode("utf-8", "replace")
        return ""

    def _attribute(self, name: str, begin: int, end: int, left: list[int]) -> None:
        """An entry of a map: key and Value."""
        key = self._text(begin, end - begin, 1, left)
        for start, length in self._inner(begin, end, 2, left):
            shape: tuple[int, ...] = ()
            offset: int | None = None
            for number, at, size in fields(Cursor(self.file, start, start + length), left):
                if number == 2:
                    shape = self._shape(at, at + size, left)
                elif number == 5:
                    path = self._text(at, size, 1, left)
                    if path.rpartition("/")[2] != NUMBERS.rpartition("/")[2] or ".." in path:
                        raise RefusedError(f"it names the file {path[:200]!a} for its numbers")
                    offset = self._number(at, at + size, 2, left)
            if offset is not None:
                called = name if key == "val" else f"{name}.{key}"
                if len(self.constants) >= places.MAX_TENSORS:
                    raise bomb(f"it holds more than {places.MAX_TENSORS} constants")
                self.constants.append(_Constant(called, shape, offset))

    def _shape(self, begin: int, end: int, left: list[int]) -> tuple[int, ...]:
        """ValueType -> TensorType -> Dimension -> ConstantDimension -> its size."""
        sizes = []
        for start, length in self._inner(begin, end, 1, left):
            for at, size in self._inner(start, start + length, 3, left):
                for inner, inner_size in self._inner(at, at + size, 1, left):
                    sizes.append(self._number(inner, inner + inner_size, 1, left))
        return tuple(sizes)

    def _number(self, begin: int, end: int, number: int, left: list[int]) -> int:
        """A field of a whole number, 0 where it is not there."""
        value = 0
        for found, start, length in fields(Cursor(self.file, begin, end), left):
            if found == number and length == 0:
                value = start
        return value
