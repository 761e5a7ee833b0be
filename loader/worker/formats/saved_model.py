"""TensorFlow's SavedModel: a graph of operators, whose variables lie in a checkpoint beside it. Zone: worker.

The messages are those of tensorflow/core/protobuf/saved_model.proto and meta_graph.proto. Fields that are not looked
at are gone over. An operator runs when the model is loaded or used; some of them read and write files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from safe_load.worker.formats import keras
from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.formats.protobuf import Schema, Walk, leaves
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Container

    from safe_load.worker.formats.interface import File, Reading

#: Operators that read or write files, run Python, make datasets of graphs in a text, or talk to other machines.
_REACHES = re.compile(
    r"(?:Experimental)?(?:(?:CSV|LMDB|Sql|MatchingFiles|DataService)Dataset\w*|DatasetToTFRecord)|ImmutableConst"
    r"|ReadFile|WriteFile|(?:Eager)?PyFunc(?:Stateless)?|MatchingFiles|DatasetFromGraph|(?:Load|Save|Snapshot)Dataset\w*"
    r"|SqlDataset|(?:TFRecord|TextLine|FixedLengthRecord)Dataset\w*|\w*Reader(?:V2)?|Debug(?:Identity|Nan|Numeric)\w*"
    r"|Create(?:SummaryFile|SummaryDb)Writer|WriteGraphSummary|FileSystemSetConfiguration|Rpc(?:Client|Server|Call)"
    r"|LoadAndRemapMatrix|GenerateVocabRemapping"
)
_PRINT, _TO_FILE = "PrintV2", b"file://"
MAX_SHOWN = 50
#: Nodes of a graph that are gone over to find out whether it is one.
MAX_NODES = 500_000
#: The first byte of these messages, whichever field comes first.
_FIRST = (b"\x08", b"\x0a", b"\x12", b"\x18", b"\x22")
#: Fields of a MetaGraphDef.
_OF_META = frozenset(range(1, 16))
_OPERATOR = re.compile(rb"[A-Z][A-Za-z0-9_>]{0,199}")


class _Loose(dict[int, Any]):
    """A schema that lets any field be."""

    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, _: int) -> None:
        return None


_NODE: Schema = _Loose()
_LIBRARY: Schema = _Loose({1: _Loose({3: _NODE})})
_ASSET: Schema = _Loose()
_GRAPH: Schema = _Loose({1: _NODE, 2: _LIBRARY})
#: An object as Keras restores it: of TensorFlow to 2.4, with the configuration of its layer.
_USER: Schema = _Loose()
_META: Schema = _Loose({2: _GRAPH, 6: _ASSET, 7: _Loose({1: _Loose({4: _USER})})})
_SAVED: Schema = _Loose({2: _META})
_LAYERS: Schema = {1: leaves(2, 3, 4, 5) | {6: leaves(1, 2, 3)}}
_CHECKSUMS: Schema = leaves(1, 2, 3, 4, 5, 7) | {6: leaves(1, 2, 3)}


class _Graph(Walk):
    """One walk over a SavedModel. operators: their names; assets: files that it names; prints: whether an attribute
    names a file to print to."""

    def __init__(self, file: File) -> None:
        super().__init__(file)
        self.operators: dict[str, None] = {}
        self.assets: list[str] = []
        self.layers: list[tuple[int, int]] = []
        self.prints = False

    def met(self, schema: Schema, number: int, start: int, length: int) -> None:
        if schema is _NODE and number == 2:
            self.operators[self._text(start, length)] = None
        elif schema is _NODE and number == 5 and length < 4096:
            self.prints = self.prints or _TO_FILE in self.file.read(start, length)
        elif schema is _USER and number == 3 and self.file.read(start, min(1, length)) == b"{":
            self.layers.append((start, length))
        elif schema is _ASSET and number == 2 and len(self.assets) < 1000:
            self.assets.append(self._text(start, length))

    def _text(self, start: int, length: int) -> str:
        return self.file.read(start, min(length, 200)).decode("utf-8", "replace")


class SavedModel(Format):
    """saved_model.pb: graphs, and what they name."""

    name, called = "saved-model", "a SavedModel of TensorFlow"
    loader = "tf.saved_model.load"
    weights = "none; its variables come out of variables/variables.index beside it"
    hides = "operators that read or write files, run Python or make datasets of graphs; assets outside of its folder"

    def recognise(self, file: File) -> bool:
        """By its fields, in any order: a version, and graphs that fill the file."""
        fields = _fields(file, 0, file.size, {1, 2})
        graphs = [(start, length) for number, start, length in fields if number == 2]
        return 0 < len(graphs) == len(fields) and all(
            any(_fields(file, start, start + length, _OF_META)) for start, length in graphs
        )

    def read(self, file: File, reading: Reading) -> Content:
        """Its operators."""
        _tell(file, _SAVED, reading)
        why = "a graph of operators of TensorFlow, each of which was looked at"
        lacks = "it is the graph of a SavedModel: its variables lie in variables/, name the folder that holds both"
        return Content(self.name, "opened", why, loads=False, lacks=lacks)


class FrozenGraph(Format):
    """A GraphDef by itself, as freeze_graph and old TensorFlow write one."""

    name, called = "frozen-graph", "a graph of TensorFlow"
    loader = "tf.import_graph_def"
    weights = "none; its constants stay in the graph"
    hides = "operators that read or write files, or run Python"

    def recognise(self, file: File) -> bool:
        """By its fields, in any order: nodes, of which the first has a name and an operator."""
        if file.head[:1] not in (b"\x0a", b"\x12", b"\x22"):
            return False
        return _has_nodes(file, 0, file.size)

    def read(self, file: File, reading: Reading) -> Content:
        """Its operators."""
        _tell(file, _GRAPH, reading)
        why = "a graph of operators of TensorFlow, each of which was looked at"
        return Content(
            self.name, "opened", why, loads=False, lacks="no weights are read of a frozen graph"
        )


class MetaGraph(Format):
    """model.ckpt.meta of TensorFlow 1: a graph, and how a checkpoint is restored into it."""

    name, called = "meta-graph", "a graph beside a checkpoint of TensorFlow 1"
    loader = "tf.compat.v1.train.import_meta_graph"
    weights = "none; its variables come out of the .index beside it"
    hides = FrozenGraph.hides + "; assets outside of its folder"

    def recognise(self, file: File) -> bool:
        """By its fields, in any order, and a graph among them."""
        found = [place for place in _fields(file, 0, file.size, _OF_META) if place[0] == 2]
        # Of a field that stands there twice, readers put the messages together.
        return any(_has_nodes(file, start, start + length) for _, start, length in found)

    def read(self, file: File, reading: Reading) -> Content:
        """Its operators."""
        _tell(file, _META, reading)
        why = "a graph of operators of TensorFlow, each of which was looked at"
        lacks = "it is a graph: its variables lie in the .index beside it, name the folder that holds both"
        return Content(self.name, "opened", why, loads=False, lacks=lacks)


def reaches(operator: str) -> bool:
    """Whether an operator of that name reaches out of a graph."""
    return _REACHES.fullmatch(operator) is not None


def _has_nodes(file: File, begin: int, end: int) -> bool:
    """Whether a message is a GraphDef with nodes, of which the first has a name and an operator."""
    fields = _fields(file, begin, end, {1, 2, 3, 4, 5})
    nodes = [(start, length) for number, start, length in fields if number == 1]
    if not nodes:
        return False
    start, length = nodes[0]
    numbers = {1, 2, 3, 4, 5, 6, 7}
    found = {number: place for number, *place in _fields(file, start, start + length, numbers)}
    return {1, 2} <= found.keys() and _OPERATOR.fullmatch(
        file.read(found[2][0], min(found[2][1], 200))
    ) is not None


def _tell(file: File, schema: Schema, reading: Reading) -> None:
    """Tell which operators reach out of a graph, and which files it names. Raises RefusedError."""
    graph = _Graph(file)
    graph.message(0, file.size, schema)
    found = list(filter(reaches, graph.operators))
    if graph.prints and _PRINT in graph.operators:
        found.append(f"{_PRINT} to a file")
    for operator in found[:MAX_SHOWN]:
        reading.carries("SL506", f"runs the operator {operator}, which reaches out of the graph")
    for start, length in graph.layers:
        for sentence in keras.carried(file.read(start, length), is_keras=False):
            reading.carries("SL506", sentence)
    for asset in graph.assets:
        steps = asset.replace("\\", "/").split("/")
        if ".." in steps or asset.startswith(("/", "\\")):
            reading.carries("SL505", f"names {asset[:200]!a} as a file of its own")


def _fields(
    file: File, begin: int, end: int, numbers: Container[int]
) -> list[tuple[int, int, int]]:
    """The fields of a message: number, and where the bytes lie of those with a length. None of them where a field is not
    among `numbers` or the message does not fill its place: then it is no such message."""
    found: list[tuple[int, int, int]] = []
    if begin == 0 and file.head[:1] not in _FIRST:
        return found
    cursor = Cursor(file, begin, end)
    try:
        while not cursor.done:
            key = cursor.varint()
            if key >> 3 not in numbers or key & 7 not in (0, 2):
                return []
            if len(found) >= MAX_NODES:  # whether the rest fits is for its reader to say
                return found
            length = cursor.varint()
            if key & 7 == 2:
                found.append((key >> 3, cursor.position, length))
                cursor.skip(length)
    except RefusedError:
        return []
    return found


class KerasMetadata(Format):
    """keras_metadata.pb of a SavedModel of Keras 2: the configuration of each layer."""

    name, called = "keras-metadata", "the layers of a Keras model beside a SavedModel"
    loader = "tf.keras.models.load_model"
    hides = "Keras layers that are functions"

    def recognise(self, file: File) -> bool:
        """By the path of its first node."""
        return file.head[:1] == b"\x0a" and b"\x1a\x04root" in file.head[:12]

    def read(self, file: File, reading: Reading) -> Content:
        """Data, unless a layer of it carries code."""
        nodes = _LAYERS[1]

        class Layers(Walk):
            def met(self, schema: Schema, number: int, start: int, length: int) -> None:
                if schema is nodes and number == 5 and length:
                    # A class of its author's is made anew of the graph, without its code.
                    text = self.file.read(start, length)
                    for sentence in keras.carried(text, is_keras=False):
                        reading.carries("SL506", sentence)

        Layers(file).message(0, file.size, _LAYERS)
        state = "opened" if reading.carried else "data"
        return Content(self.name, state, "configurations of Keras layers", loads=False)  # type: ignore[arg-type]


class Fingerprint(Format):
    """fingerprint.pb of a SavedModel: five checksums."""

    name, called, loader = "fingerprint", "the checksums of a SavedModel", "tf.saved_model.load"

    def recognise(self, file: File) -> bool:
        """By its size and its fields."""
        if not 8 < file.size < 200 or file.head[0] not in b"\x08\x09":
            return False
        try:
            Walk(file).message(0, file.size, _CHECKSUMS)
        except RefusedError:
            return False
        return b"\x10" in file.head[2:14] or b"\x11" in file.head[2:14]

    def read(self, file: File, reading: Reading) -> Content:  # noqa: ARG002 - a format's entry
        """Data: each of its fields is known."""
        return Content(self.name, "data", "checksums of a SavedModel", loads=False)
