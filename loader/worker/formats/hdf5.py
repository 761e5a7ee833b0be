"""HDF5 files, as Keras, TensorFlow and PyTables write them. Zone: worker.

What makes one of them run is named by an attribute, and HDF5 does not compress attributes: the names
stand in the file as they are (one whose heaps are compressed all the same is refused). So a search of all its bytes says that they are not there. Datasets are read by
safe-load's own reader: no byte of the file meets libhdf5 in the room that writes the export.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safe_load.worker.formats import hdf5_data, keras
from safe_load.worker.formats.hdf5_chunks import UnreadError
from safe_load.worker.formats.hdf5_objects import Objects
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import DeflatedSource, MemorySource, Span
from safe_load.worker.tensors import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.formats.interface import Reading

#: What a whole Keras model has as an attribute: its layers as JSON.
_MODEL = b"model_config"
#: What PyTables and pandas mark their files with: both unpickle attributes and columns.
_TABLES = re.compile(
    rb"PYTABLES|pandas_type|pandas_version|pseudoatom|PSEUDOATOM|numpy\.core\.multiarray|copyreg|copy_reg|builtins\n|__builtin__"
)
#: What a pickle that names something has: GLOBAL, or two texts and STACK_GLOBAL.
_PICKLED = re.compile(
    rb"c[A-Za-z_][\w.]{1,60}\n[A-Za-z_][\w.]{0,60}\n"
    rb"|\x8c.[A-Za-z_][\w.]{1,60}(?:\x94|q.)?\x8c.[A-Za-z_][\w.]{0,60}(?:\x94|q.)?\x93",
    re.DOTALL,
)
#: The head of a heap, which holds attributes and links, that has filters (HDF5 File Format 3.0, III.G).
_COMPRESSED = re.compile(rb"FRHP\0..(?!\0\0)", re.DOTALL)
#: What Keras and transformers write beside weights.
_KERAS_WEIGHTS = re.compile(
    rb"keras_version|weight_names|layer_names|_layer_checkpoint_dependencies|/vars|\bvars\b"
)
_LAYER = re.compile(rb'"class_name"\s*:\s*"(\w{1,80})"')
_OVERLAP = 256
_STEP = 8 << 20


class Hdf5(Format):
    """An HDF5 file: its datasets of numbers; data when no model is in it."""

    name, called = "hdf5", "an HDF5 file"
    loader = "keras.models.load_model, or h5py.File"
    opens = "keras:models.load_model h5py:File"
    weights = "datasets of numbers, under their paths; contiguous, compact, in chunks, packed by gzip or lzf, shuffled"
    hides = (
        "Keras layers that are functions, marshalled code, classes of other modules; links and datasets of other "
        "files; sizes that lie"
    )
    foreign = True

    def recognise(self, file: File) -> bool:
        """By its magic at the beginning; a file with a block of the user's before it is not known."""
        return file.head.startswith(b"\x89HDF\r\n\x1a\n")

    def read(self, file: File, reading: Reading) -> Content:
        """Its datasets, and what it may run."""
        if isinstance(
            file.span.source, DeflatedSource
        ):  # of an archive, which has accounted for it
            file = File(file.name, Span(MemorySource(file.span.whole()), 0, file.size))
        seen = _Seen()
        for window in _windows(file):
            seen.look(window, reading)
        objects = Objects(file)
        model = _configurations(objects, reading)
        if seen.model and not model and not reading.carried:
            raise RefusedError(
                "the file holds a whole Keras model, and its configuration is kept in a way that is not read here"
            )
        if seen.pickled and not seen.weights:
            raise RefusedError("it holds what looks like a pickle, and what reads it is not known")
        if objects.found:
            for sentence in objects.found:
                reading.carries("SL505", sentence)
            return Content(self.name, "opened", "numbers that lie in other files", loads=False)
        if model or reading.carried:
            return _content(
                objects, reading, Content("keras", "opened", "a whole Keras model, read as data")
            )
        why = (
            "Keras weights without a model: no object is made of them"
            if seen.weights
            else "datasets of numbers and text, as h5py reads them"
        )
        return _content(objects, reading, Content(self.name, "data", why))


class _Seen:
    """What a search of all bytes found."""

    def __init__(self) -> None:
        self.weights = self.model = self.pickled = False

    def look(self, window: bytes, reading: Reading) -> None:
        """Search a part of the file. Raises RefusedError for what libraries unpickle."""
        if _COMPRESSED.search(window):
            raise RefusedError(
                "it compresses its attributes or links, which HDF5 itself never does"
            )
        if found := _TABLES.search(window):
            raise RefusedError(
                f"the file holds {found[0][:20]!a}, as files of PyTables and pandas do, and these libraries unpickle it"
            )
        self.weights = self.weights or _KERAS_WEIGHTS.search(window) is not None
        self.pickled = self.pickled or _PICKLED.search(window) is not None
        self.model = self.model or _MODEL in window
        for layer in {match[1].decode() for match in _LAYER.finditer(window)}:
            if sentence := keras.told_of(layer):
                reading.carries("SL506", sentence)
        if b"__lambda__" in window:
            reading.carries("SL506", "holds a Keras model with a function as bytecode in it")


def _configurations(objects: Objects, reading: Reading) -> bool:
    """Whether a Keras model's configuration was found; what it can run is told."""
    found = False
    for (_, name), text in objects.attributes.items():
        if name in ("model_config", "training_config"):
            found = found or name == "model_config"
            look = keras.carried if name == "model_config" else keras.trained_with
            for sentence in look(text):
                reading.carries("SL506", sentence)
    return found


def _content(objects: Objects, reading: Reading, content: Content) -> Content:
    """The same with its tensors, or with why there are none."""
    named: places.Named = {}
    content.loads = False
    for dataset in objects.datasets:
        where = f"the dataset {dataset.path[:200]!a}"
        try:
            tensor = hdf5_data.tensor_of(dataset, objects)
        except UnreadError as error:
            content.lacks = f"{where} is not read: {error}"
            return content
        except IndexError:
            raise RefusedError(f"{where}: a message of it is too short") from None
        except RefusedError as refusal:
            raise RefusedError(f"{where}: {refusal.reason}", refusal.status) from None
        if tensor is not None:
            places.add(named, dataset.path, tensor)
    if not named:
        content.lacks = "it is an HDF5 file without datasets of numbers"
        return content
    of_training = [name for name in named if name.startswith(_TRAINING)]
    if reading.choice.keep != "all" and len(of_training) < len(named):
        for name in of_training:
            del named[name]
        if of_training:
            reading.notes.append(
                f"{len(of_training)} tensors of its optimizer are left out; --keep all keeps them"
            )
    places.require_room(named, reading)
    return places.content(named, content.format, reading, state=content.state, why=content.why)


#: Where Keras keeps what training needs besides the weights.
_TRAINING = ("optimizer_weights/", "optimizer/")


def _windows(file: File) -> Iterator[bytes]:
    """Its bytes, a step at a time, each with the end of the one before."""
    for begin in range(0, file.size, _STEP):
        at = max(0, begin - _OVERLAP)
        yield file.read(at, min(begin + _STEP, file.size) - at)
