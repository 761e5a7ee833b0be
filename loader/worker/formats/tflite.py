"""TensorFlow Lite models: a graph of operators by number, and buffers. Zone: worker.

The schema is tensorflow/lite/schema/schema.fbs. Operators that a model names itself are the application's, but
for those that begin with Flex: they run any operator of TensorFlow, some of which reach files.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from safe_load.worker.formats import flatbuffer
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Span
from safe_load.worker.tensors import places
from safe_load.worker.tensors.key_names import Distinct

if TYPE_CHECKING:
    from safe_load.worker.formats.flatbuffer import Table
    from safe_load.worker.formats.interface import File, Reading
    from safe_load.worker.pickle_vm.values import Tensor

MAX_SIZE = 2 << 30
#: Operators of TensorFlow that read or write files, call Python or print.
_REACHES = re.compile(
    rb"Flex(?:ReadFile|WriteFile|PyFunc|EagerPyFunc|PyFuncStateless|Save\w*|Restore\w*|MatchingFiles|Print\w*"
    rb"|\w*Reader\w*|\w*Dataset\w*|LoadAndRemap\w*|MergeV2Checkpoints|ShardedFilename|Sqlite\w*|Load\w*|\w*File\w*)"
)


#: Number of an element type -> what torch calls it (TensorType).
_TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16"}
_TYPES |= {8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 15: "uint32"}
_TYPES |= {16: "uint16", 18: "bfloat16"}
_TEXT, _INT4 = 5, 17
#: Scales of one tensor that are kept as metadata.
MAX_SCALES = 64


class TfLite(Format):
    """A TensorFlow Lite model."""

    name, called, loader = "tflite", "a TensorFlow Lite model", "tensorflow.lite.Interpreter"
    opens = "ai_edge_litert.interpreter:Interpreter"
    weights = "constant buffers; quantised ones as the integers that are stored, with their scales as metadata"
    hides = "Flex operators that reach files or run Python; operators of the application's own"
    foreign = True

    def recognise(self, file: File) -> bool:
        """By the identifier of its schema."""
        return file.head[4:8] == b"TFL3"

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if its directory can be read and no operator reaches out of the graph."""
        if file.size > MAX_SIZE:
            raise RefusedError(f"it is a TensorFlow Lite model of more than {MAX_SIZE >> 30} GiB")
        span = file.span
        whole = memoryview(span.source.buffer())[span.offset : span.offset + span.length]
        try:
            return self._content(flatbuffer.root(whole), span, reading)
        finally:
            whole.release()

    def _content(self, model: Table, span: Span, reading: Reading) -> Content:
        own = []
        for operator in model.tables(1):
            name = operator.text(1)[:200]
            shown = name.decode("ascii", "replace")
            if _REACHES.match(name):
                reading.carries("SL506", f"runs the operator {shown!a}")
            elif name and not name.startswith((b"Flex", b"TFLite_")):
                own.append(shown)
        if own:
            reading.notes.append(
                f"it takes operators of the application's own: {', '.join(f'{each[:80]!a}' for each in own[:5])}"
            )
        buffers = model.tables(4)
        named: places.Named = {}
        settings: dict[str, str] = {}
        free = Distinct()
        for number, graph in enumerate(model.tables(2)):
            graph.tables(3)
            for place, described in enumerate(graph.tables(0)):
                called = described.text(3)[:900].decode("utf-8", "replace") or f"{number}.{place}"
                tensor = _tensor(described, buffers, span, called, reading)
                if tensor is not None:
                    called = free(called)
                    places.add(named, called, tensor)
                    settings |= _scales(described.table(4), called)
        why = "a graph of operators of TensorFlow Lite"
        if not named:
            lacks = "it is a TensorFlow Lite model without constants"
            return Content(self.name, "data", why, loads=False, lacks=lacks)
        return places.content(named, self.name, reading, why=why, settings=settings)


def _tensor(
    described: Table, buffers: list[Table], span: Span, name: str, reading: Reading
) -> Tensor | None:
    """A constant, None for what is computed, and for what is no number."""
    where = f"the tensor {name[:200]!a}"
    at = described.number(2, 4)
    if not 0 <= at < len(buffers):
        raise RefusedError(f"{where} is in the buffer {at} of {len(buffers)}")
    begin, length = buffers[at].place(0)
    if not length and (length := buffers[at].number(2, 8)):  # behind the directory, of large models
        begin = buffers[at].number(1, 8)
    if not length:
        return None
    if begin < 0 or length < 0 or begin + length > span.length:
        raise RefusedError(f"{where} lies outside of the file")
    kind = described.number(1, 1)
    shape = tuple(int(size) for size in described.numbers(0, "i"))
    numbers = Span(span.source, span.offset + begin, length)
    if kind == _TEXT or described.has(6):
        what = "holds texts" if kind == _TEXT else "is sparse"
        reading.notes.append(f"{where} {what}, and is left out")
        return None
    try:
        if kind == _INT4:
            made = places.tensor("uint8", (-(-math.prod(shape) // 2),), numbers)
            made.note = f"tflite=int4 of {'x'.join(map(str, shape))}"
            return made
        if kind not in _TYPES:
            raise RefusedError(f"it is of the element type {kind}, which is unknown")
        return places.tensor(_TYPES[kind], shape, numbers)
    except RefusedError as refusal:
        raise RefusedError(f"{where}: {refusal.reason}", refusal.status) from None


def _scales(table: Table | None, name: str) -> dict[str, str]:
    """By what the integers of a quantised tensor are multiplied, and what is 0 among them."""
    if table is None:
        return {}
    scales, zeros = table.numbers(2, "f"), table.numbers(3, "q")
    if not 0 < len(scales) <= MAX_SCALES:
        return {}
    return {f"tflite.scale:{name}": json.dumps({"scale": scales, "zero_point": zeros})}
