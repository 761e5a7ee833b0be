"""All formats, in the order in which a file is asked whether it is one of them. Zone: worker.

Ours are named in FORMATS. Other packages bring theirs by an entry point of the group GROUP.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from safe_load.worker.formats import archives, pickles, polyglots
from safe_load.worker.formats.booster_files import UbJson
from safe_load.worker.formats.booster_texts import LightGbm, XgboostJson
from safe_load.worker.formats.columns import Arrow, Parquet
from safe_load.worker.formats.coreml import CoreMl, MilBlob
from safe_load.worker.formats.distributed import TorchDistributed
from safe_load.worker.formats.documents import Pdf
from safe_load.worker.formats.ggml import Ggml
from safe_load.worker.formats.gguf import Gguf
from safe_load.worker.formats.hdf5 import Hdf5
from safe_load.worker.formats.logs import Records, Wandb
from safe_load.worker.formats.media import MEDIA
from safe_load.worker.formats.mlflow import MlflowModel
from safe_load.worker.formats.msgpack import Msgpack
from safe_load.worker.formats.mxnet import MxnetParams
from safe_load.worker.formats.numpy_files import Npy
from safe_load.worker.formats.ocdbt import Ocdbt
from safe_load.worker.formats.onnx import Onnx, OnnxTensor
from safe_load.worker.formats.openvino import OpenVino
from safe_load.worker.formats.packed import PACKED
from safe_load.worker.formats.protobuf import SentencePiece
from safe_load.worker.formats.raw_weights import (
    CatBoost,
    CTranslate2,
    FastText,
    Imatrix,
    OnnxNumbers,
    Word2Vec,
)
from safe_load.worker.formats.saved_model import (
    Fingerprint,
    FrozenGraph,
    KerasMetadata,
    MetaGraph,
    SavedModel,
)
from safe_load.worker.formats.sevenzip import SevenZip
from safe_load.worker.formats.sound import MORE_MEDIA
from safe_load.worker.formats.tensor_files import Safetensors
from safe_load.worker.formats.texts import Text
from safe_load.worker.formats.tf_checkpoint import TfCheckpoint
from safe_load.worker.formats.tflite import TfLite
from safe_load.worker.formats.unopened import Empty, Git, Program, Unopened
from safe_load.worker.formats.zarr import Zarr
from safe_load.worker.pickle_vm.values import Stub
from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.worker.formats.interface import Content, File, Format, Reading

GROUP = "safe_load.formats"

_ZIP = archives.Zip()
_PICKLE = pickles.Pickle()
_DISTRIBUTED = TorchDistributed()
#: Those that a file says by a magic of its own.
_BY_MAGIC: tuple[Format, ...] = (
    Empty(),
    _ZIP,
    Safetensors(),
    Npy(),
    archives.Tar(),
    SevenZip(),
    *PACKED,
    Hdf5(),
    Gguf(),
    Parquet(),
    Arrow(),
    Pdf(),
    *MEDIA,
    *MORE_MEDIA,
    Git(),
    Program(),
    TfLite(),
    Wandb(),
    FastText(),
    CTranslate2(),
    Ggml(),
    CatBoost(),
    Word2Vec(),
    Imatrix(),
    TfCheckpoint(),
    MxnetParams(),
    MilBlob(),
    Ocdbt(),
)
#: Those that are told by how a file looks, and in the end what is anything.
_BY_LOOKS: tuple[Format, ...] = (
    Unopened(),
    Records(),
    OnnxNumbers(),
    CoreMl(),
    SavedModel(),
    KerasMetadata(),
    Fingerprint(),
    Onnx(),
    OnnxTensor(),
    SentencePiece(),
    FrozenGraph(),
    MetaGraph(),
    OpenVino(),
    MlflowModel(),
    Zarr(),
    LightGbm(),
    XgboostJson(),
    Text(),
    Msgpack(),
    UbJson(),
    _DISTRIBUTED,
    _PICKLE,
)
FORMATS: tuple[Format, ...] = (*_BY_MAGIC, *_BY_LOOKS)
#: Those of other packages, by the words that name them.
_brought: dict[str, Format] = {}


def bring(named: Iterable[str] | None) -> None:
    """Import formats of other packages. named: their entry points' values, "module:name"; None: those that are
    installed here. What cannot be imported raises whatever it raises: no file is judged without it."""
    if named is None:
        from importlib import metadata  # noqa: PLC0415 - slow, and only containers look for themselves

        named = [each.value for each in metadata.entry_points(group=GROUP)]
    for value in named:
        if value not in _brought:
            module, _, name = value.partition(":")
            found = getattr(import_module(module), name)
            _brought[value] = cast("Format", found() if isinstance(found, type) else found)


def kind_of(file: File) -> Format:
    """The first format that a file says it is of."""
    return next(
        kind for kind in (*_BY_MAGIC, *_brought.values(), *_BY_LOOKS) if kind.recognise(file)
    )


def judge(file: File, reading: Reading) -> Content:
    """What a file is, and what came of it. Raises RefusedError, with the format that it seemed to be
    and the state that it is left in as attributes."""
    kind = kind_of(file)
    reading.size = reading.size or file.size
    try:
        behind = polyglots.zip_behind(file) if kind is not _ZIP and file.size else None
        if behind is not None and kind.name != "tar":
            _judge_behind(behind, reading)  # whatever becomes of what lies before
        if behind is not None and _ends(behind) != _ends(file):
            behind = None
        if behind is not None:
            _tell_two(kind, "a zip archive", reading)
        for other in polyglots.others(file, kind.name):
            _tell_two(kind, other, reading)
        if kind.name == "tar" and polyglots.is_odd_name(file.head):
            for second in _BY_MAGIC:
                if second is not kind and second.recognise(file):
                    _tell_two(kind, second.called, reading)
        if kind in (_ZIP, _PICKLE, _DISTRIBUTED):
            content = kind.read(file, reading)
        else:
            content = _not_only_a_pickle(kind, file, reading)
        if behind is not None:
            raise RefusedError(f"it is {kind.called}, and a zip archive as well")
    except RefusedError as refusal:
        refusal.format = refusal.format or ("unknown" if kind is _PICKLE else kind.name)
        refusal.state = refusal.state or "not_judged"
        raise
    return content


def _not_only_a_pickle(kind: Format, file: File, reading: Reading) -> Content:
    """Read a file that is no pickle by its first bytes, after a look at what it is as one."""
    found = pickles.second_look(file, reading) if file.size else None
    if found is not None:
        root, reader = found
        if isinstance(kind, Text):
            return pickles.content_of(root, reader.format, reading, reader.defects)
        if isinstance(root, (dict, list, tuple, Stub)) and (isinstance(root, Stub) or root):
            _tell_two(kind, "a complete pickle", reading)
    return kind.read(file, reading)


def _ends(file: File) -> int:
    return file.span.offset + file.span.length


def _tell_two(kind: Format, other: str, reading: Reading) -> None:
    """Told before what either is refused for."""
    what = kind.called if kind is not _PICKLE else "a pickle or of no known format"
    within = f"holds {reading.member[:200]!a}, which is" if reading.depth else "is"
    reading.carries(
        "SL506",
        f"{within} {what}, and {other} as well: programs differ in which of the two they open",
    )


def _judge_behind(file: File, reading: Reading) -> None:
    """Read the archive that ends where a file of another format does, for what it calls."""
    try:
        _ZIP.read(file, reading)
    except RefusedError as refusal:
        if refusal.status == "bomb":
            raise
        reading.notes.append(f"read as a zip archive: {refusal.reason}")
