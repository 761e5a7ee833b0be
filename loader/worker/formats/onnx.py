"""ONNX models: a graph of operators, and tensors in it or in files beside it. Zone: worker.

The messages are those of onnx/onnx.proto. Numbers that lie in `raw_data`, in packed fields of floats or in other files
are copied as they are; those in fields of varints are computed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safe_load.worker.formats import nested, onnx_tensors, pickles
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.formats.protobuf import Schema, Walk, leaves
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.tensors import places
from safe_load.worker.tensors.key_names import Distinct

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading
    from safe_load.worker.pickle_vm.values import Tensor

_ENTRY = leaves(1, 2)
_TENSOR: Schema = leaves(1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14) | {3: leaves(1, 2)}
_TENSOR |= {13: _ENTRY, 16: _ENTRY}
_SPARSE: Schema = {1: _TENSOR, 2: _TENSOR} | leaves(3)
_TYPE: Schema = leaves(6)
_SHAPE: Schema = {1: leaves(1, 2, 3)}
_TYPE |= {1: leaves(1) | {2: _SHAPE}, 8: leaves(1) | {2: _SHAPE}, 4: {1: _TYPE}, 9: {1: _TYPE}}
_TYPE |= {5: leaves(1) | {2: _TYPE}, 7: leaves(1, 2)}
_VALUE: Schema = leaves(1, 3) | {2: _TYPE, 4: _ENTRY}
_GRAPH: Schema = leaves(2, 10)
_ATTRIBUTE: Schema = leaves(1, 2, 3, 4, 7, 8, 9, 13, 20, 21)
_ATTRIBUTE |= {5: _TENSOR, 10: _TENSOR, 6: _GRAPH, 11: _GRAPH, 14: _TYPE, 15: _TYPE}
_ATTRIBUTE |= {22: _SPARSE, 23: _SPARSE}
_SHARDED: Schema = leaves(1) | {2: leaves(1, 2, 3)}
_DEVICES: Schema = leaves(1, 3) | {2: leaves(1, 2) | {3: leaves(1, 2), 4: _SHARDED}}
_NODE: Schema = leaves(1, 2, 3, 4, 6, 7, 8) | {5: _ATTRIBUTE, 9: _ENTRY, 10: _DEVICES}
_GRAPH |= {1: _NODE, 5: _TENSOR, 11: _VALUE, 12: _VALUE, 13: _VALUE, 15: _SPARSE, 16: _ENTRY}
_GRAPH |= {14: leaves(1) | {2: _ENTRY}}
_FUNCTION: Schema = leaves(1, 4, 5, 6, 8, 10, 13)
_FUNCTION |= {7: _NODE, 9: leaves(1, 2), 11: _ATTRIBUTE, 12: _VALUE, 14: _ENTRY}
_ONNX: Schema = leaves(1, 2, 3, 4, 5, 6) | {7: _GRAPH, 8: leaves(1, 2), 14: _ENTRY}
_ONNX |= {20: {1: _GRAPH, 2: _GRAPH, 3: _ENTRY, 4: _ENTRY}, 25: _FUNCTION}
_ONNX |= {26: leaves(1, 2, 3)}


#: Operators that run what is no operator: Python, or a program that was compiled for some hardware.
_PROGRAMS = frozenset({"PyOp", "PythonOp", "PyCustomOp", "EPContext", "PythonOpGrad"})
#: Domains whose operators ONNX and its runtime bring.
_KNOWN = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "ai.onnx.preview"}
    | {"com.microsoft", "com.microsoft.nchwc", "com.microsoft.experimental", "com.ms.internal.nhwc"}
    | {"org.pytorch.aten", "com.microsoft.extensions"}
)
#: The tags of a TensorProto that may follow its element type: numbers, a name, bytes, a text, what lies elsewhere.
_AFTER_TYPE = b"\x22\x25\x28\x2a\x32\x38\x3a\x42\x4a\x51\x52\x58\x5a\x62\x6a\x70"
MAX_TENSORS = places.MAX_TENSORS
MAX_NAMES = 1000
#: Bytes of an entry of metadata that are looked at.
MAX_METADATA = 1 << 20


#: Names of the element types whose constants are weights whatever their shape: numbers with a point.
_FLOATING = ("float", "bfloat", "complex")


class _Model(Walk):
    """One walk over a model. tensors: where its initialisers lie, whether each is a sparse one; constants: where
    those of its nodes do, with the name of what the node gives."""

    def __init__(self, file: File) -> None:
        super().__init__(file)
        self.tensors: list[tuple[int, int, bool]] = []
        self.constants: list[tuple[int, int, str]] = []
        self._given = ""
        self.outside: dict[str, None] = {}
        self.operators: dict[str, None] = {}
        self.domains: dict[str, None] = {}
        self.functions: dict[str, None] = {}
        self.defined: set[str] = set()
        self.metadata: list[str] = []

    def met(self, schema: Schema, number: int, start: int, length: int) -> None:
        if schema is _GRAPH and number in (5, 15):
            if len(self.tensors) >= MAX_TENSORS:
                raise bomb(f"the model holds more than {MAX_TENSORS} tensors")
            self.tensors.append((start, length, number == 15))
        elif schema is _GRAPH and number == 1:
            self._given = ""
        elif schema is _NODE and number == 2:
            self._given = self._given or self._text(start, length)
        elif schema is _ATTRIBUTE and number == 5:
            if len(self.tensors) + len(self.constants) >= MAX_TENSORS:
                raise bomb(f"the model holds more than {MAX_TENSORS} tensors")
            self.constants.append((start, length, self._given))
        elif schema is _NODE and number in (4, 7):
            text = self._text(start, length)
            if number == 7:
                self.domains[text] = None
            elif text in _PROGRAMS:
                self.operators[text] = None
        elif schema is _FUNCTION and number in (1, 10):
            text = self._text(start, length)
            if number == 10:
                self.defined.add(text)
            elif len(self.functions) < MAX_NAMES:
                self.functions[text] = None
        elif schema is _TENSOR and number == 13:
            self._other(start, length)
        elif schema is _ONNX and number == 14 and len(self.metadata) < MAX_NAMES:
            self.metadata.append(onnx_tensors.pair(self.file, start, length, MAX_METADATA)[1])

    def _other(self, start: int, length: int) -> None:
        """Note the file that a tensor's entry names, whichever tensor that is."""
        key, value = onnx_tensors.pair(self.file, start, length)
        if key == "location" and len(self.outside) < MAX_TENSORS:
            self.outside[value] = None

    def _text(self, start: int, length: int) -> str:
        return self.file.read(start, min(length, 200)).decode("utf-8", "replace")


class Onnx(Format):
    """An ONNX model: a graph of operators and its tensors."""

    name, called, loader = "onnx", "an ONNX model", "onnxruntime.InferenceSession, or onnx.load"
    opens = "onnx:load"
    weights = "initialisers, also those that lie in other files of its folder; constants of nodes, by what the node gives"
    hides = "paths and hard links that leave the folder; operators that run Python or compiled programs; domains of custom operators"
    foreign = True

    def recognise(self, file: File) -> bool:
        """By the version of the format and what follows it."""
        head = file.head
        return (
            len(head) > 8
            and head[0] == 8
            and 0 < head[1] < 32
            and head[2] in b"\x12\x1a\x22\x2a\x32\x3a\x42"
        )

    def read(self, file: File, reading: Reading) -> Content:
        """Its initialisers, if each of its fields is known."""
        model = _Model(file)
        model.message(0, file.size, _ONNX)
        _tell(model, reading)
        content = Content(self.name, "data", "an ONNX model of known fields only", loads=False)
        named: places.Named = {}
        free = Distinct()
        for start, length, sparse in model.tensors:
            for name, fields in onnx_tensors.parts(file, start, length, sparse):
                if fields.external and not _beside(fields, reading, content):
                    return content
                tensor = onnx_tensors.tensor(fields, reading)
                if tensor is not None:
                    places.add(named, free(name), tensor)
        for start, length, name in model.constants:
            fields = onnx_tensors.fields(file, start, length)
            if fields.external and not _beside(fields, reading, content):
                return content
            if (value := _constant(fields, reading)) is not None:
                places.add(named, free(name or fields.name or "constant"), value)
        made = places.content(named, self.name, reading, why=content.why)
        made.loads = bool(named)
        made.lacks = "" if named else "it is an ONNX model without tensors"
        return made


def _constant(fields: onnx_tensors.Fields, reading: Reading) -> Tensor | None:
    """The tensor of a node, where it may be a weight: shapes, axes and single numbers belong to the graph."""
    if fields.kind == onnx_tensors.TEXTS or math.prod(fields.shape) < 2:
        return None
    value = onnx_tensors.tensor(fields, reading)
    if value is None or value.dtype is None:
        return None
    return value if value.dtype.name.startswith(_FLOATING) or len(fields.shape) > 1 else None


class OnnxTensor(Format):
    """A tensor of ONNX in a file of its own, as the test data of the onnx package are."""

    name, called, loader = "onnx-tensor", "a tensor of ONNX", "onnx.load_tensor"
    opens = "onnx:load_tensor"
    weights = "the tensor"
    foreign = True

    def recognise(self, file: File) -> bool:
        """By its dimensions, its element type and what follows these."""
        cursor = Cursor(file, 0, len(file.head))
        try:
            while (tag := cursor.number(1)) == 0x08:
                cursor.varint()
            is_one = tag == 0x10 and 0 < cursor.varint() < 32
            return is_one and (cursor.done or cursor.number(1) in _AFTER_TYPE)
        except RefusedError:
            return False

    def read(self, file: File, reading: Reading) -> Content:
        """Its numbers, if each of its fields is known."""
        Walk(file).message(0, file.size, _TENSOR)
        content = Content(self.name, "data", "a tensor of ONNX", loads=False)
        fields = onnx_tensors.fields(file, 0, file.size)
        if location := fields.outside.get("location"):
            if onnx_tensors.leaves_folder(location):
                reading.carries("SL505", f"names {location[:200]!a} as the file of its tensors")
            else:
                reading.claims.append(location.removeprefix("./"))
        if fields.external and not _beside(fields, reading, content):
            return content
        value = onnx_tensors.tensor(fields, reading)
        if value is None:
            content.lacks = "it is a tensor of texts"
            return content
        named: places.Named = {}
        places.add(named, fields.name or "tensor", value)
        return places.content(named, self.name, reading, why=content.why)


def _tell(model: _Model, reading: Reading) -> None:
    """Say what the model names besides numbers. Of its metadata, programs evaluate some (ultralytics to 8.3, yolov5)."""
    nested.look(model.metadata, reading, pickles.second_look)
    for location in model.outside:
        if onnx_tensors.leaves_folder(location):
            reading.carries("SL505", f"names {location[:200]!a} as the file of its tensors")
        elif len(reading.claims) < 1000:
            reading.claims.append(location.removeprefix("./"))
    for operator in model.operators:
        reading.carries(
            "SL506", f"runs the operator {operator}, which is a program and not numbers"
        )
    if odd := sorted(model.domains.keys() - _KNOWN - model.defined):
        reading.notes.append(
            f"it takes operators of {', '.join(f'{each[:80]!a}' for each in odd[:5])}, which a library of the "
            "user's own brings: what that library does was not judged"
        )
    if model.functions:
        names = ", ".join(f"{each[:80]!a}" for each in list(model.functions)[:5])
        reading.notes.append(f"it defines {len(model.functions)} functions: {names}")


def _beside(fields: onnx_tensors.Fields, reading: Reading, content: Content) -> bool:
    """Whether the file that holds a tensor's numbers is there; otherwise `content` says why not."""
    location = fields.outside.get("location", "").removeprefix("./")
    if (
        reading.parts is not None
        and location in reading.parts
        and not onnx_tensors.leaves_folder(location)
    ):
        return True
    content.lacks = (
        f"its tensors lie in {location[:200]!a}, outside of its folder, and are not read"
        if onnx_tensors.leaves_folder(location)
        else f"its tensors lie in the file {location[:200]!a}, which is not there: name the folder that holds both"
    )
    return False
