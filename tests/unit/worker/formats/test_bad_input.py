"""Files of every format that are cut off, or whose numbers lie, end in one sentence, soon and in little memory."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import sys
import tarfile
import time
import tracemalloc
import types
import zipfile
import zlib
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from onnx import numpy_helper
from safe_load.worker.formats import registry, unfolding
from safe_load.worker.formats.interface import Content, File
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span

from tests.unit.worker.formats import zstd_packing as zstd
from tests.unit.worker.formats.every_format import NAMES, SAMPLES, opened
from tests.unit.worker.formats.test_data import judged
from tests.unit.worker.formats.test_onnx import model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Bytes of memory that one file may take.
MEMORY = 192 << 20
LIES = (0xFFFFFFFF, 0x7FFFFFFF, 0x10000000, 0, 1)
#: Formats of which a beginning may be a whole file: texts, bytes that mean nothing by themselves, and lists without a
#: count. What fills a tar archive up may be missing.
OPEN_ENDED = frozenset(
    "tar mp4 flac matroska tiff ggml catboost tfrecord onnx-data fingerprint sentencepiece frozen-graph mlflow text lightgbm xgboost-json zarr".split()
)


def test_there_is_a_file_of_every_format() -> None:
    assert list(SAMPLES) == [each.name for each in registry.FORMATS]
    for name, data in SAMPLES.items():
        file = File(NAMES.get(name, "model"), Span(MemorySource(data), 0, len(data)))
        assert registry.kind_of(file).name == name


def cut(data: bytes) -> Iterator[bytes]:
    for number in range(20):
        yield data[: len(data) * number // 20]


def lying(data: bytes) -> Iterator[bytes]:
    """Numbers at 60 places each made very large, none and one."""
    step = max(1, min(len(data), 3000) // 60)
    for number, at in enumerate(range(0, min(len(data), 3000), step)):
        lie = LIES[number % len(LIES)].to_bytes(4, "little")
        yield data[:at] + lie + data[at + 4 :]
        yield data[:at] + lie * 2 + data[at + 8 :]


def arrays(kind: str) -> bytes:
    """Further files of numbers, in forms of which a format has several."""
    array = np.arange(300, dtype="f4").reshape(20, 15)
    if kind.startswith("hdf5"):
        out = io.BytesIO()
        with h5py.File(out, "w", libver="latest" if kind == "hdf5-new" else None) as file:
            file["vars/0"] = array
            file.create_dataset(
                "vars/1", data=array, chunks=(7, 4), compression="gzip", shuffle=True
            )
        return out.getvalue()
    typed = numpy_helper.from_array(array[:2].astype("i4"), "typed")
    typed.int32_data.extend(np.frombuffer(typed.raw_data, "i4").tolist())
    typed.ClearField("raw_data")
    return model(numpy_helper.from_array(array, "w"), typed).SerializeToString()


MORE = ("hdf5-old", "hdf5-new", "onnx-typed")


def files(kind: str) -> tuple[bytes, str]:
    return (arrays(kind) if kind in MORE else SAMPLES[kind]), NAMES.get(kind, "model")


@pytest.mark.parametrize("change", [cut, lying])
@pytest.mark.parametrize("kind", [*SAMPLES, *MORE])
def test_a_damaged_file_ends_soon_in_one_sentence(
    kind: str, change: Callable[[bytes], Iterator[bytes]]
) -> None:
    data, name = files(kind)
    whole = opened(data, name)
    tracemalloc.start()
    started = time.process_time()
    for number, damaged in enumerate(change(data)):
        result = opened(damaged, name)
        is_refused = isinstance(result, RefusedError)
        if is_refused:
            assert "\n" not in result.reason
            assert len(result.reason) < 600
        elif change is cut and number and kind not in OPEN_ENDED and isinstance(whole, Content):
            same_kind = result.format == whole.format and result.state != "not_judged"
            assert not same_kind or data == damaged, number
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()
    assert time.process_time() - started < 20


def _entries(name: str, shape: str) -> bytes:
    head = ",".join(f'"{number}":{shape}' for number in range(10**6)).encode()
    return (
        {"safetensors": (len(head) + 2).to_bytes(8, "little"), "text": b""}[name]
        + b"{"
        + head
        + b"}"
    )


def _zip() -> bytes:
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    return (
        b"PK\3\4"
        + bytes(26)
        + entry * 10**6
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 47 * 10**6, 30, 0)
    )


def _tar_header() -> bytes:
    return tarfile.TarInfo("a").tobuf()


def _onnx() -> bytes:
    graph = b"\x2a\x00" * 10**6
    size = len(graph)
    varint = bytes((size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127))
    return b"\x08\x07\x12\x00\x3a" + varint + graph


def _hdf5() -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("vars/0", (8_000,), "u1", chunks=(1,))[:] = 1
    return out.getvalue()


#: Lists of a million entries, fewer where each takes much room or time to write, and counts without entries.
MANY: dict[str, Callable[[], bytes]] = {
    "zip": _zip,
    "tar": lambda: _tar_header() * 30_000,
    "safetensors": lambda: _entries("safetensors", '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'),
    "text": lambda: _entries("text", "[1]"),
    "pickle": lambda: pickle.dumps(list(map(str, range(10**6)))),
    "msgpack": lambda: b"\xdd" + (10**6).to_bytes(4, "big") + b"\1" * 10**6,
    "msgpack that lies": lambda: b"\x81\xa1a\xdd" + (10**8).to_bytes(4, "big") + b"\0" * 10**6,
    "ubjson": lambda: b"{L" + bytes(7) + b"\1a[" + b"l\0\0\0\1" * 10**6 + b"]}",
    "gguf that lies": lambda: b"GGUF\3\0\0\0" + (10**6).to_bytes(8, "little") + bytes(8) + bytes(1 << 20),
    "onnx": _onnx,
    "hdf5": _hdf5,
    "sentencepiece": lambda: SAMPLES["sentencepiece"] + b"\x0a\x08\x0a\1a\x15\0\0\0\0" * 250_000,
    "tfrecord": lambda: SAMPLES["tfrecord"] * 30_000,
    "frozen-graph": lambda: SAMPLES["frozen-graph"] * 50_000,
    "wandb": lambda: SAMPLES["wandb"] + bytes(4) + b"\1\0\1a" * 10**5,
    "ogg": lambda: (b"OggS\0" + bytes(21) + b"\0") * 10**5,
    "git": lambda: b"DIRC" + bytes(10**6),
    "word2vec": lambda: b"1000000 1\n" + b"a \0\0\0\0" * 10**6,
    "ggml that lies": lambda: SAMPLES["ggml"][:4] + b"\xff\xff\xff\x7f" * 10**5,
    "mxnet that lies": lambda: SAMPLES["mxnet"][:16] + (10**6).to_bytes(8, "little") + bytes(10**6),
    "fasttext that lies": lambda: SAMPLES["fasttext"][:64] + struct.pack("<iiiqq", 10**6, 10**6, 0, 3, -1) + bytes(10**6),
    "zarr": lambda: b'{"zarr_format":3,"a":[' + b"[]," * 10**6 + b"0]}",
}  # fmt: skip


@pytest.mark.parametrize("kind", MANY)
def test_a_million_entries_are_bounded(kind: str) -> None:
    data = MANY[kind]()
    started = time.process_time()
    result = opened(data)
    assert time.process_time() - started < 30
    if isinstance(result, RefusedError):
        assert "\n" not in result.reason
    assert not kind.endswith("lies") or isinstance(result, RefusedError)


#: Packed a thousandfold and more, in one step and in two.
ZEROS = bytes(40 << 20)
BOMBS: dict[str, Callable[[], bytes]] = {
    name: (lambda pack=pack: pack(ZEROS))  # type: ignore[misc]
    for name, pack in {
        "gzip": gzip.compress, "zlib": lambda data: zlib.compress(data, 9), "bzip2": bz2.compress,
        "xz": lambda data: lzma.compress(data, preset=0), "zstd": zstd.compress, "zip": lambda data: _packed(data, zipfile.ZIP_DEFLATED),
        "zip by bzip2": lambda data: _packed(data, zipfile.ZIP_BZIP2), "gzip in a zip": lambda data: _packed(gzip.compress(data), zipfile.ZIP_STORED),
        "zip in zip": lambda data: _packed(_packed(data, zipfile.ZIP_DEFLATED), zipfile.ZIP_DEFLATED),
    }.items()
}  # fmt: skip


def _packed(data: bytes, method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("model.bin", data)
    return out.getvalue()


@pytest.mark.parametrize("kind", BOMBS)
def test_what_unpacks_a_thousandfold_is_told(kind: str) -> None:
    data = BOMBS[kind]()
    tracemalloc.start()
    result = opened(data)
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()
    assert isinstance(result, RefusedError)
    assert result.status == "bomb"


def test_an_archive_that_holds_itself_ends() -> None:
    data = b"x"
    for _ in range(40):
        data = _packed(data, zipfile.ZIP_DEFLATED)
    result = opened(data)
    assert isinstance(result, RefusedError) or result.state == "not_judged"


def test_more_lists_than_are_looked_through_are_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfolding, "MAX_STEPS", 100)

    class Model:
        pass

    Model.__module__, Model.__qualname__ = "sklearn.tree", "Model"
    home = types.ModuleType("sklearn.tree")
    home.Model = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sklearn", types.ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.tree", home)
    found = Model()
    found.lists = [[number] for number in range(200)]  # type: ignore[attr-defined]
    content, _ = judged(pickle.dumps(found))
    assert isinstance(content, RefusedError)
    assert content.status == "bomb"
    assert "more than 100" in content.reason
