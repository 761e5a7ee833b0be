"""What hides a pickle is opened as its loaders do: arrays, compressed streams, archives, base64."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pytest
import torch
from safe_load.profiles import ordinary_callables
from safe_load.worker.formats.interface import Content
from safe_load.worker.formats.packed import PACKED
from safe_load.worker.pickle_vm.callables import Allowlist

from tests.unit.worker.checkpoints import saved
from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from collections.abc import Callable


class Shell:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


class Nested:
    """What torch.storage pickles a tensor's storage as."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, tuple[bytes]]:
        return torch.storage._load_from_bytes, (self.data,)


PICKLE = pickle.dumps(Shell())


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    def write(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)

    return written(write)


def tarred(name: str, data: bytes, mode: str = "w") -> bytes:
    def write(file: io.BytesIO) -> None:
        with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))

    return written(write)


def lz4(data: bytes) -> bytes:
    """A frame of one block, compressed as far as a run of bytes as they are."""
    length = len(data)
    block = bytes((0xF0,)) + b"\xff" * ((length - 15) // 255) + bytes(((length - 15) % 255,)) + data
    return b"\x04\x22\x4d\x18\x60\x40\0" + len(block).to_bytes(4, "little") + block + bytes(4)


def zfile(data: bytes) -> bytes:
    """As joblib 0.9's write_zfile does."""
    return b"ZF" + hex(len(data)).encode().ljust(19) + zlib.compress(data, 3)


OBJECTS = np.array([Shell()], dtype=object)
FIELDS = np.array([(1, Shell())], dtype=[("a", "i4"), ("b", "O")])
HIDDEN = {
    "object array": written(lambda file: np.save(file, OBJECTS, allow_pickle=True)),
    "array with an object field": written(lambda file: np.save(file, FIELDS, allow_pickle=True)),
    "npz": written(lambda file: np.savez(file, a=np.arange(3), b=OBJECTS)),
    "compressed npz": written(lambda file: np.savez_compressed(file, b=OBJECTS)),
    "gzip": gzip.compress(PICKLE),
    "two gzip members": gzip.compress(PICKLE[:20]) + gzip.compress(PICKLE[20:]),
    "zlib": zlib.compress(PICKLE),
    "bzip2": bz2.compress(PICKLE),
    "xz": lzma.compress(PICKLE),
    "lzma": lzma.compress(PICKLE, format=lzma.FORMAT_ALONE),
    "lz4": lz4(PICKLE),
    "joblib of long ago": zfile(PICKLE),
    "joblib of long ago on Python 2": (zfile(PICKLE)[:21] + b" " + zfile(PICKLE)[21:]),
    "gzip in gzip": gzip.compress(gzip.compress(PICKLE)),
    "zip": zipped(x=PICKLE),
    "zip in zip": zipped(x=zipped(y=PICKLE)),
    "checkpoint in a zip": zipped(**{"model.pt": saved({"x": Shell()})}),
    "tar": tarred("x", PICKLE),
    "tar.gz": tarred("x", PICKLE, "w:gz"),
    "checkpoint in a tar": tarred("weights.ckpt", saved({"x": Shell()})),
    "base64 in JSON": json.dumps({"a": {":type:": "x", ":serialized:": base64.b64encode(PICKLE).decode()}}).encode(),
    "base64 in JSON in a zip": zipped(data=json.dumps({"a": {":serialized:": base64.b64encode(PICKLE).decode()}}).encode()),
    "member of a torch file": zipped(**{"model/data.pkl": pickle.dumps({}, 2), "model/more.gz": gzip.compress(PICKLE)}),
    "storage that no tensor claims": zipped(**{"model/data.pkl": pickle.dumps({}, 2), "model/data/99": PICKLE}),
    "the same in protocol 0": zipped(**{"model/data.pkl": pickle.dumps({}, 2), "model/extra/x.txt": pickle.dumps(Shell(), 0)}),
    "constant that no program claims": zipped(**{"model/data.pkl": pickle.dumps({}, 2), "model/constants/7": PICKLE}),
    "version of a torch file": zipped(**{"model/data.pkl": pickle.dumps({}, 2), "model/version": PICKLE}),
    "zip in a torch file": zipped(**{"model/data.pkl": pickle.dumps({}, 2), "model/data/1": zipped(x=PICKLE)}),
    "second stream of a further member": zipped(**{"model/data.pkl": pickle.dumps({}, 2), "model/extra/x": pickle.dumps(1) + PICKLE}),
    "gzip behind a pickle": pickle.dumps({}) + gzip.compress(PICKLE),
    "array behind a pickle": pickle.dumps({}) + written(lambda file: np.save(file, OBJECTS, allow_pickle=True)),
    "member of a checkpoint in a checkpoint": pickle.dumps(Nested(zipped(**{"model/data.pkl": pickle.dumps({}, 2), "model/data/9": PICKLE}))),
}  # fmt: skip


@pytest.mark.parametrize(
    ("member", "data"),
    [
        ("data/9", bytes(range(255, 128, -1))),
        ("data/9", b"7z\xbc\xaf\x27\x1c" + bytes(50)),
        ("x.pkl", b"Rar!" + bytes(50)),
    ],
)
def test_a_member_that_nobody_can_read_leaves_the_file_unjudged(member: str, data: bytes) -> None:
    state = {"w": torch.arange(6.0)}
    whole = saved(state)
    with zipfile.ZipFile(file := io.BytesIO(whole), "a") as archive:
        archive.writestr(f"archive/{member}", data)
    assert judged(whole)[0].state == "opened"
    content, _ = judged(file.getvalue())
    assert isinstance(content, Content)
    assert (content.state, content.plan is not None) == ("not_judged", True)
    assert member in content.why


def test_what_lies_behind_the_numbers_of_a_tensor_is_not_claimed_by_it() -> None:
    whole = saved({"w": torch.arange(6.0)})
    members = {
        info.filename: zipfile.ZipFile(io.BytesIO(whole)).read(info)
        for info in zipfile.ZipFile(io.BytesIO(whole)).infolist()
    }
    members["archive/data/0"] += PICKLE
    content, _ = judged(zipped(**members))
    assert isinstance(content, Content)
    assert content.state == "not_judged"


@pytest.mark.parametrize("where", HIDDEN)
def test_a_hidden_call_is_found(where: str) -> None:
    _, reading = judged(HIDDEN[where])
    calls = {call["name"] for call in reading.callables if call["called"]}
    assert calls & {"posix.system", "os.system"}


@pytest.mark.parametrize("where", ["gzip", "zlib", "bzip2", "xz", "lzma", "lz4", "joblib-zfile"])
def test_a_compressed_checkpoint_gives_its_tensors(where: str) -> None:
    state = {"w": torch.arange(6.0), "v": torch.ones(2, 2)}
    pack = {
        "gzip": gzip.compress, "zlib": zlib.compress, "bzip2": bz2.compress, "xz": lzma.compress, "lz4": lz4,
        "joblib-zfile": zfile,
        "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    }[where]  # fmt: skip
    content, _ = judged(pack(saved(state)))
    assert isinstance(content, Content)
    assert content.plan is not None
    assert {entry.name for entry in content.plan.entries} == state.keys()


@pytest.mark.parametrize("home", ["joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle"])
def test_arrays_of_joblib_come_out_also_of_scikit_learns_own(home: str) -> None:
    joblib.dump({"w": np.arange(6.0)}, file := io.BytesIO(), protocol=2)
    stream = file.getvalue().replace(b"cjoblib.numpy_pickle\n", f"c{home}\n".encode())
    content, reading = judged(stream)
    assert isinstance(content, Content)
    assert content.plan is not None
    assert [entry.name for entry in content.plan.entries] == ["w"]
    ordinary = Allowlist(ordinary_callables())
    assert all(ordinary.allows(str(e["name"]), str(e["use"])) for e in reading.callables)


def test_lz4_copies_what_came_before() -> None:
    # "abcd" as it is, then ten bytes from four back, then the end as it is.
    block = b"\x46abcd\x04\x00" + b"\x50wxyz!"
    frame = b"\x04\x22\x4d\x18\x60\x40\0" + len(block).to_bytes(4, "little") + block + bytes(4)
    (lz4_format,) = [each for each in PACKED if each.name == "lz4"]
    content, _ = judged(frame)
    assert isinstance(content, Content)
    assert content.state == "data"
    assert lz4_format.name in content.format


def test_arrays_of_numbers_come_out() -> None:
    content, _ = judged(written(lambda file: np.save(file, np.arange(6.0).reshape(2, 3).T)))
    assert isinstance(content, Content)
    assert content.plan is not None
    assert [(e.name, e.shape) for e in content.plan.entries] == [("tensor", (3, 2))]
    content, _ = judged(written(lambda file: np.savez(file, a=np.arange(3), b=np.ones((2, 2)))))
    assert isinstance(content, Content)
    assert content.plan is not None
    assert {e.name for e in content.plan.entries} == {"a", "b"}


def test_what_unpacks_without_end_is_a_bomb() -> None:
    zeros = bytes(40 << 20)
    for data in (
        gzip.compress(zeros),
        zlib.compress(zeros),
        bz2.compress(zeros),
        lzma.compress(zeros),
        zipped(x=zeros),
    ):
        content, _ = judged(data)
        assert not isinstance(content, Content)
        assert content.status == "bomb"


def test_packing_without_end_is_not_judged() -> None:
    data = PICKLE
    for _ in range(10):
        data = gzip.compress(data)
    content, _ = judged(data)
    assert getattr(content, "state", None) == "not_judged"


def test_an_encrypted_member_is_not_judged() -> None:
    data = bytearray(zipped(x=PICKLE))
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + at] |= 1
    content, _ = judged(bytes(data))
    assert getattr(content, "state", None) == "not_judged"
