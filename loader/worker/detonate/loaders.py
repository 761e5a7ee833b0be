"""Open what is no torch file as its own library would: arrays, compressed pickles, archives.

Zone: worker. Code that the file brings runs here on purpose. Names play no part but for joblib's:
any pickle may have any name.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickletools
import sys
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safe_load.worker.detonate import library_calls
from safe_load.worker.formats import registry, skops
from safe_load.worker.formats.interface import File
from safe_load.worker.guarded import attempt
from safe_load.worker.spans import FileSource, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.worker.formats.interface import Format

    Opener = Callable[[str, Any], object]

HEAD = 512
#: Bytes that a stream is unpacked to, and that a file of text may have to be tried as a pickle.
MAX_UNPACKED = 256 << 20
MAX_TEXT = 4 << 20
#: Bytes of tensors that are loaded of a distributed checkpoint, which torch cannot map, and of a file that its
#: library reads whole.
MAX_LOADED = 1 << 30
#: Bytes of a file that a library opens at most, where it is not MAX_LOADED: h5py reads what it is asked for.
_MOST = {"h5py:File": 1 << 50}
_CHECKPOINT = b"torch.distributed.checkpoint.metadata"
#: Members of an archive that are opened, and archives in archives.
MAX_MEMBERS = 256
MAX_DEPTH = 3
_ZIP = b"PK\x03\x04"
_TAR_OF_TORCH = {"storages", "tensors", "pickle"}
_STREAMS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
    (b"]\0\0", lzma.LZMAFile),
)
_ZLIB = (b"x\x01", b"x^", b"x\x9c", b"x\xda")
_LZ4 = b"\x04\x22\x4d\x18"
_PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(1, 6))


@dataclass(frozen=True)
class Several:
    """What several files in an archive gave: used like the rest, compared with nothing."""

    values: list[object]


def opener(path: str) -> Opener | None:
    """How the file's own library opens it, by its bytes; None for torch's files and bare pickles."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"\x93NUMPY"):
        return _numpy
    if head.startswith(_ZIP):
        names = _names(path)
        if not names or any(name.endswith("/data.pkl") for name in names):
            return None
        if all(name.endswith(".npy") for name in names):
            return _numpy
        return partial(_library_and_archive, _of_zip(set(names)))
    if head.startswith((*(magic for magic, _ in _STREAMS), *_ZLIB, _LZ4)):
        return _packed
    if is_distributed(path, head):
        return _distributed
    if head[257:262] == b"ustar" and not set(_tar_names(path)) >= _TAR_OF_TORCH:
        return _archive
    opens = attempt(lambda: _opens(path))[0]
    return partial(_by_library, opens) if opens else None


def _kind(path: str) -> tuple[Format, int]:
    source = FileSource(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    try:
        return registry.kind_of(File(path, Span(source, 0, source.size))), source.size
    finally:
        source.close()


def _opens(path: str) -> str:
    """What a trusting user calls with a file of its format, "module:function", or "": see interface.Format."""
    kind, size = _kind(path)
    return " ".join(each for each in kind.opens.split() if size <= _MOST.get(each, MAX_LOADED))


def is_foreign(path: str) -> bool:
    """Whether it is a file of weights that torch does not open: that it failed to is no news."""
    kind = attempt(lambda: _kind(path))[0]
    return kind is not None and kind[0].foreign


def _by_library(opens: str, path: str, _: Any) -> Several:
    """Let the format's own library open it. Nothing where it is not installed, or was not imported ahead by
    the room, which goes by the file's name: what an import does is not to be taken for the file's doing. What the
    library gives is its own objects, which hold nothing that runs, and whose numbers may be as many as the file's:
    they are not used."""
    for each in opens.split():
        module, _, function = each.partition(":")
        if (library := sys.modules.get(module)) is not None:
            value = library_calls.call(each, attrgetter(function)(library), path)
            return Several([value] if each in library_calls.USED else [])
    return Several([])


def is_candidate(path: str) -> bool:
    """Whether a file that bears no name of weights is one that unpickling may run: for all the others,
    no library of pickles gets further than the first bytes."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head.startswith((*_PICKLES, _ZIP)) or opener(path) is not None:
        return True
    return _is_old_pickle(path)


def _is_old_pickle(path: str) -> bool:
    """Whether it is a pickle of protocol 0 or 1 up to its STOP. Nothing of it is run to find out."""
    with open(path, "rb") as file:
        data = file.read(MAX_TEXT + 1)
    if not data or len(data) > MAX_TEXT:
        return False
    return attempt(lambda: sum(1 for _ in pickletools.genops(data)))[1] is None


def _names(path: str) -> list[str]:
    return attempt(lambda: zipfile.ZipFile(path).namelist())[0] or []


def _tar_names(path: str) -> list[str]:
    return attempt(lambda: tarfile.open(path, "r:").getnames())[0] or []


def _numpy(path: str, _: Any) -> object:
    loaded = np.load(path, allow_pickle=True)
    return (
        {name: loaded[name] for name in loaded}
        if isinstance(loaded, np.lib.npyio.NpzFile)
        else loaded
    )


def _packed(path: str, pickle_module: Any) -> object:
    with open(path, "rb") as file:
        data = _unpacked(file)
    return _value(data, pickle_module, 0)


def _unpacked(file: Any) -> bytes:
    """What a stream unpacks to, within bounds."""
    head = file.read(8)
    file.seek(0)
    if head.startswith(_ZLIB):
        return zlib.decompressobj().decompress(file.read(), MAX_UNPACKED)
    if head.startswith(_LZ4):
        import lz4.frame  # type: ignore[import-not-found]  # noqa: PLC0415 - seldom installed

        unpacked: bytes = lz4.frame.LZ4FrameFile(file).read(MAX_UNPACKED)
        return unpacked
    for magic, open_ in _STREAMS:
        if head.startswith(magic):
            data: bytes = open_(file).read(MAX_UNPACKED)
            return data
    raise ValueError("the compression of the file is unknown")


def _value(data: bytes, pickle_module: Any, depth: int) -> object:
    """What the bytes of a file in a file are, as their library would open them."""
    if depth > MAX_DEPTH:
        raise ValueError("the file is packed too deep")
    file = io.BytesIO(data)
    if data.startswith(_ZIP):
        if any(name.endswith("/data.pkl") for name in zipfile.ZipFile(file).namelist()):
            file.seek(0)
            return torch.load(
                file, map_location="cpu", weights_only=False, pickle_module=pickle_module
            )
        return _members(_zip_members(file), pickle_module, depth)
    if data.startswith(b"\x93NUMPY"):
        return np.load(file, allow_pickle=True)
    if data.startswith((*(magic for magic, _ in _STREAMS), *_ZLIB, _LZ4)):
        return _value(_unpacked(file), pickle_module, depth + 1)
    if data[257:262] == b"ustar":
        return _members(_tar_members(file), pickle_module, depth)
    if b"joblib" in data[:4096]:
        return _joblib(file)
    try:
        return pickle_module.load(file)
    except Exception:
        if b"l\xfc\x9cF\xf9" not in data[:64]:
            raise
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=False, pickle_module=pickle_module)


def is_distributed(path: str, head: bytes) -> bool:
    """Whether it is the list of a torch distributed checkpoint, which torch opens by its name."""
    return head[:1] == b"\x80" and _CHECKPOINT in head and path.endswith("/.metadata")


def _distributed(path: str, _: Any) -> object:
    """As torch.distributed.checkpoint.format_utils.dcp_to_torch_save, up to the saving; of one that is
    larger than MAX_LOADED, all that is unpickled, and no tensors."""
    # Here, for they are seldom needed, and slow.
    from torch.distributed.checkpoint.default_planner import (  # noqa: PLC0415
        _EmptyStateDictLoadPlanner,
    )
    from torch.distributed.checkpoint.filesystem import FileSystemReader  # noqa: PLC0415
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata  # noqa: PLC0415
    from torch.distributed.checkpoint.state_dict_loader import (  # noqa: PLC0415
        _load_state_dict,
    )

    reader = FileSystemReader(path.removesuffix("/.metadata"))
    listed = reader.read_metadata()
    tensors = {
        name: each.size.numel() * each.properties.dtype.itemsize
        for name, each in listed.state_dict_metadata.items()
        if isinstance(each, TensorStorageMetadata)
    }
    keys = None
    if sum(tensors.values()) > MAX_LOADED:
        keys = listed.state_dict_metadata.keys() - tensors.keys()
    value: dict[str, Any] = {}
    planner: Any = _EmptyStateDictLoadPlanner
    _load_state_dict(value, storage_reader=reader, planner=planner(keys), no_dist=True)
    return value if keys is None else Several([value])


def _of_zip(names: set[str]) -> str:
    """What opens a zip of these members: see interface.Format.opens."""
    if skops.SCHEMA in names:
        return "skops.io:load"
    return "keras:models.load_model" if {"config.json", "metadata.json"} <= names else ""


def _library_and_archive(opens: str, path: str, pickle_module: Any) -> Several:
    """Let its own library open a zip, where there is one, and then open its members: whatever the first did."""
    value = attempt(lambda: _by_library(opens, path, None))[0] if opens else None
    return Several([*(value.values if value else ()), *_archive(path, pickle_module).values])


def _archive(path: str, pickle_module: Any) -> Several:
    with open(path, "rb") as file:
        members = _zip_members(file) if file.read(4) == _ZIP else _tar_members(file)
        return _members(members, pickle_module, 0)


def _members(members: Iterator[bytes], pickle_module: Any, depth: int) -> Several:
    values = []
    for number, data in enumerate(members):
        if number >= MAX_MEMBERS:
            break
        value, error = attempt(lambda data=data: _value(data, pickle_module, depth + 1))  # type: ignore[misc]
        if error is None:
            values.append(value)
    return Several(values)


def _zip_members(file: Any) -> Iterator[bytes]:
    file.seek(0)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if 0 < info.file_size <= MAX_UNPACKED:
                yield attempt(lambda info=info: archive.read(info))[0] or b""  # type: ignore[misc]


def _tar_members(file: Any) -> Iterator[bytes]:
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if member.isreg() and 0 < member.size <= MAX_UNPACKED:
                inner = archive.extractfile(member)
                if inner is not None:
                    yield inner.read(member.size)


def _joblib(file: Any) -> object:
    import joblib  # noqa: PLC0415 - optional, and slow

    return joblib.load(file)
