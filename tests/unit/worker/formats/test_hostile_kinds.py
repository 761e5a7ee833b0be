"""For each family of formats the hostile files of each kind: none is taken for an honest one, and each says why.

Cut files, false numbers and long lists of every format are in test_bad_input.py. What is listed here are the pairs of a
family and a kind of hostile file that no test of the family itself has.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import struct
import tarfile
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from onnx import numpy_helper
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError

from tests.unit.worker.checkpoints import saved
from tests.unit.worker.formats.every_format import NAMES, SAMPLES, W, opened
from tests.unit.worker.formats.test_coreml import message, nested
from tests.unit.worker.formats.test_data import judged
from tests.unit.worker.formats.test_onnx import model
from tests.unit.worker.formats.test_opened import written

if TYPE_CHECKING:
    from collections.abc import Callable

Members = list[tuple[str, bytes]]
MEMORY = 192 << 20
ARRAY = np.arange(4, dtype="f4")
NPY = written(lambda file: np.save(file, ARRAY))
SCHEMA = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}}


def members(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


#: What lies in a zip of each family.
ZIPS: dict[str, Members] = {
    "torch": members(saved(W)),
    "npz": [("a.npy", NPY), ("b.npy", NPY)],
    "keras": [("metadata.json", b"{}"), ("config.json", b"{}"), ("model.weights.h5", SAMPLES["hdf5"])],
    "skops": [("schema.json", json.dumps(SCHEMA).encode()), ("1.npy", NPY)],
    "pt2": [("m/archive_format", b"pt2"), ("m/models/model.json", b"{}")],
    "TorchServe": [("MAR-INF/MANIFEST.json", b"{}"), ("model.safetensors", SAMPLES["safetensors"])],
    "stable-baselines3": [("data", b"{}"), ("policy.pth", saved(W))],
}  # fmt: skip


@pytest.fixture(params=ZIPS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def zipped(parts: Members, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in parts:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def refused(data: bytes) -> RefusedError:
    """Why a file is not judged, in one sentence; fails where it is."""
    result, _ = judged(data)
    assert isinstance(result, RefusedError), result
    assert result.reason
    assert "\n" not in result.reason
    return result


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(family: str) -> None:
    parts = ZIPS[family]
    assert isinstance(judged(zipped(parts))[0], Content)
    assert f"{parts[-1][0]!a} twice" in refused(zipped([*parts, parts[-1]])).reason


@pytest.mark.parametrize("name", ["../../x.npy", "/etc/x.npy", "C:\\x.npy", "a\\..\\..\\x.npy"])
def test_a_name_that_leaves_the_folder_is_told(family: str, name: str) -> None:
    _, reading = judged(zipped([*ZIPS[family], (name, NPY)]))
    assert [said for ident, said in reading.carried if ident == "SL505"] == [
        f"holds a member {name!a}, which would be unpacked outside of its folder"
    ]


def test_a_member_that_is_encrypted_is_refused(family: str) -> None:
    made = bytearray(zipped(ZIPS[family]))
    for magic, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = made.find(magic)
        while at >= 0:
            made[at + place] |= 1
            at = made.find(magic, at + 4)
    assert "is encrypted" in refused(bytes(made)).reason


def test_a_member_that_unpacks_a_thousandfold_is_a_bomb(family: str) -> None:
    tracemalloc.start()
    data = zipped([*ZIPS[family], ("m/zeros.npy", bytes(40 << 20))], zipfile.ZIP_DEFLATED)
    tracemalloc.reset_peak()
    assert refused(data).status == "bomb"
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()


def _tar_gz() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("zeros")
        info.size = 40 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


def _chunks() -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("w", (1 << 28,), "u1", chunks=(1 << 20,), compression="gzip")[:100] = 1
    return out.getvalue()


def _nested(depth: int) -> bytes:
    data = SAMPLES["pickle"]
    for _ in range(depth):
        data = gzip.compress(data)
    return data


BOMBS: dict[str, Callable[[], bytes]] = {
    "lzma": lambda: lzma.compress(bytes(40 << 20), lzma.FORMAT_ALONE, preset=0),
    "tar.gz": _tar_gz,
    "chunks of HDF5": _chunks,
    "depth": lambda: _nested(10),
    "depth of msgpack": lambda: b"\x91" * 10**5 + b"\1",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_by_ratio_and_depth_are_refused(kind: str) -> None:
    result = opened(BOMBS[kind]())
    assert isinstance(result, RefusedError)
    assert result.status == "bomb" or "deep" in result.reason


def _gguf(settings: list[bytes], tensors: list[bytes]) -> bytes:
    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(settings))
    for name in settings:
        data += struct.pack("<Q", len(name)) + name + struct.pack("<IQ", 8, 1) + b"x"
    for number, name in enumerate(tensors):
        data += struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 8, 0, number * 32)
    return data + bytes(-len(data) % 32) + bytes(32 * len(tensors))


def _safetensors(second: str) -> bytes:
    header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' + second + "}"
    return struct.pack("<Q", len(header)) + header.encode() + bytes(8)


def _hdf5() -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["aaaa"], file["bbbb"] = ARRAY, ARRAY
    return out.getvalue().replace(b"bbbb", b"aaaa")


#: One name for two things.
TWICE: dict[str, bytes] = {
    "safetensors": _safetensors('"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}'),
    "safetensors, spelled otherwise": _safetensors('"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}'),
    "safetensors, one place": _safetensors('"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'),
    "a setting of GGUF": _gguf([b"a", b"a"], []),
    "a tensor of GGUF": _gguf([b"general.architecture"], [b"t", b"t"]),
    "msgpack": b"\x82\xa1a\x01\xa1a\x02",
    "hdf5": _hdf5(),
}  # fmt: skip


@pytest.mark.parametrize("kind", TWICE)
def test_one_name_for_two_things_is_refused(kind: str) -> None:
    result = opened(TWICE[kind])
    assert isinstance(result, RefusedError), result
    assert "\n" not in result.reason


def test_tensors_of_one_name_in_onnx_both_come_out() -> None:
    """Graphs within a graph use a name again."""
    tensor = numpy_helper.from_array(ARRAY, "w")
    result = opened(model(tensor, tensor).SerializeToString())
    assert isinstance(result, Content)
    assert result.plan is not None
    assert len({entry.name for entry in result.plan.entries}) == 2


#: Many entries of the formats of which test_bad_input.py has none: as many as fit into a few megabytes.
MANY: dict[str, Callable[[], bytes]] = {
    "coreml": lambda: nested(500, message(1, b"") * 80_000),
    "meta-graph": lambda: SAMPLES["meta-graph"] * 10_000,
    "openvino": lambda: SAMPLES["openvino"].replace(b"<layers>", b"<layers>" + b'<layer id="1" name="a" type="b"/>' * 50_000),
    "xgboost-json": lambda: SAMPLES["xgboost-json"].replace(b"0.5", b"0.5" + b",1" * 500_000),
    "lightgbm": lambda: SAMPLES["lightgbm"].replace(b"leaf_value=1", b"leaf_value=1" + b" 1" * 500_000),
    "mlflow": lambda: SAMPLES["mlflow"] + b"".join(b"k%d: 1\n" % number for number in range(30_000)),
    "torchscript": lambda: zipped([*members(saved(W)), ("archive/constants.pkl", b"\x80\x02)."), ("archive/code/a.py", b"ops.a.b getattr( __torch__ .save\n" * 10**5)]),
}  # fmt: skip


@pytest.mark.parametrize("kind", MANY)
def test_many_entries_are_read_or_refused_in_bounded_memory(kind: str) -> None:
    data = MANY[kind]()
    tracemalloc.start()
    result = opened(data, NAMES.get(kind, "model"))
    assert tracemalloc.get_traced_memory()[1] < MEMORY
    tracemalloc.stop()
    if isinstance(result, RefusedError):
        assert "\n" not in result.reason
    else:
        assert result.format.startswith(kind)


#: Where a byte of a checksum, or of what it covers, lies in the sample of a format.
CHECKSUMS = {
    "gzip": -5, "zlib": -1, "bzip2": 10, "xz": -30, "joblib-zfile": -1, "png": -5, "tf-checkpoint": -60, "git": -1,
    "ocdbt": -1, "7z": 40,
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKSUMS)
def test_a_wrong_checksum_is_refused(kind: str) -> None:
    data = bytearray(SAMPLES[kind])
    data[CHECKSUMS[kind]] ^= 0xFF
    result, _ = judged(bytes(data))
    assert isinstance(result, RefusedError) or result.state == "not_judged"
    assert getattr(result, "reason", "") or getattr(result, "why", "")
