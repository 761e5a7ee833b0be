"""A small file of each format of the registry, for the tests that hold for all of them."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import pickle
import struct
import tarfile
import zlib

import h5py
import numpy as np
import torch
from safe_load.worker.formats import registry
from safe_load.worker.formats.interface import Content, File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import MemorySource, Span
from safetensors.torch import save
from torch.distributed.checkpoint.metadata import Metadata

from tests.unit.worker.checkpoints import saved
from tests.unit.worker.formats import test_coreml as coreml
from tests.unit.worker.formats import test_frameworks as frameworks
from tests.unit.worker.formats import test_libraries as libraries
from tests.unit.worker.formats import test_mlflow as mlflow
from tests.unit.worker.formats import test_onnx as onnx
from tests.unit.worker.formats import test_tensorflow as tensorflow
from tests.unit.worker.formats import test_tflite as tflite
from tests.unit.worker.formats import zstd_packing as zstd
from tests.unit.worker.formats.orbax_checkpoints import WRITTEN as ORBAX
from tests.unit.worker.formats.sevenzips import WRITTEN as SEVENZIPS
from tests.unit.worker.formats.test_data import animation, field, gguf, packed, picture, sound
from tests.unit.worker.formats.test_opened import lz4, written, zfile

W = {"w": torch.arange(6.0).reshape(2, 3)}
ARRAY = np.arange(6, dtype="f4").reshape(2, 3)
PLAIN = pickle.dumps({"w": [1, 2.5, "three"], "n": {"m": b"4"}})


def _tar() -> bytes:
    def write(file: io.BytesIO) -> None:
        with tarfile.open(fileobj=file, mode="w") as archive:
            info = tarfile.TarInfo("model.safetensors")
            info.size = len(save(W))
            archive.addfile(info, io.BytesIO(save(W)))

    return written(write)


def _hdf5() -> bytes:
    def write(file: io.BytesIO) -> None:
        with h5py.File(file, "w") as archive:
            archive.create_dataset("w", data=ARRAY, chunks=(1, 2), compression="gzip")
            archive.attrs["model_config"] = b'{"class_name": "Dense"}'

    return written(write)


def _git() -> bytes:
    data = b"DIRC\0\0\0\2\0\0\0\0"
    return data + hashlib.sha1(data, usedforsecurity=False).digest()


_SCHEMA = struct.pack("<IIHHHHiiBBHI", 16, 0, 12, 12, 4, 8, 8, 0, 3, 1, 0, 0)
_STREAM = b"\xff\xff\xff\xff" + struct.pack("<I", len(_SCHEMA)) + _SCHEMA

SAMPLES: dict[str, bytes] = {
    "empty": b"",
    "zip": saved(W),
    "safetensors": save(W),
    "numpy": written(lambda file: np.save(file, ARRAY)),
    "tar": _tar(),
    "7z": SEVENZIPS["LZMA2"],
    "gzip": gzip.compress(PLAIN, mtime=0),
    "zlib": zlib.compress(PLAIN),
    "bzip2": bz2.compress(PLAIN),
    "xz": lzma.compress(PLAIN),
    "lzma": lzma.compress(PLAIN, lzma.FORMAT_ALONE),
    "joblib-zfile": zfile(PLAIN),
    "zstd": zstd.compress(PLAIN),
    "lz4": lz4(PLAIN),
    "hdf5": _hdf5(),
    "gguf": gguf(),
    "parquet": libraries.parquet(),
    "arrow": b"ARROW1\0\0" + _STREAM + struct.pack("<I", 0) + b"ARROW1",
    "pdf": libraries.pdf(),
    "png": picture("PNG"),
    "jpeg": picture("JPEG"),
    "gif": animation(),
    "riff": sound(),
    "mp4": b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x0cmdat1234",
    "ogg": b"OggS\0" + bytes(21) + b"\2\4\3" + b"1234567",
    "bmp": picture("BMP"),
    "mp3": b"ID3\4\0\0\0\0\0\4abcd" + (b"\xff\xfb\x90\0" + bytes(413)) * 3,
    "flac": b"fLaC\x80\0\0\x22" + bytes(34) + b"\xff\xf8\xc9\x18" + bytes(40),
    "matroska": b"\x1a\x45\xdf\xa3\x84\x42\x86\x81\1" + b"\x18\x53\x80\x67\x84abcd",
    "font": b"\0\1\0\0\0\4" + bytes(6) + (b"head" + bytes(4) + struct.pack(">II", 76, 8)) * 4 + bytes(8),
    "tiff": picture("TIFF"),
    "icon": picture("ICO"),
    "ds-store": b"\0\0\0\1Bud1" + struct.pack(">III", 0x800, 0x800, 0x800) + bytes(4096),
    "netpbm": picture("PPM"),
    "glb": b"glTF\2\0\0\0" + struct.pack("<II", 24, 4) + b"JSON{}  ",
    "git": _git(),
    "program": b"\x7fELF\2\1\1" + bytes(60),
    "tflite": tflite.MODEL,
    "wandb": libraries.wandb(),
    "fasttext": libraries.fasttext(),
    "ctranslate2": libraries.ctranslate2(),
    "ggml": frameworks.ggml("whisper"),
    "catboost": b"CBM1" + struct.pack("<I", 40) + struct.pack("<IHHi", 8, 4, 4, 4) + bytes(60),
    "word2vec": libraries.DATA["words.bin"],
    "imatrix": libraries.DATA["imatrix.dat"],
    "tf-checkpoint": tensorflow.data("variables.index"),
    "mxnet": frameworks.FILES["dict.params"][0],
    "milblob": coreml.blobs(ARRAY)[0],
    "ocdbt": ORBAX["OCDBT"]["manifest.ocdbt"],
    "unopened": b"Rar!\x1a\7\1\0" + bytes(40),
    "tfrecord": libraries.records(b"\x09abc", b"more"),
    "onnx-data": libraries.NUMBERS,
    "coreml": coreml.MODEL,
    "saved-model": field(1, 1) + field(2, tensorflow.META),
    "keras-metadata": tensorflow.layer('{"class_name": "Dense"}'),
    "fingerprint": tensorflow.data("fingerprint.pb"),
    "onnx": onnx.model(*onnx.tensors()).SerializeToString(),
    "onnx-tensor": onnx.tensors()[0].SerializeToString(),
    "sentencepiece": field(1, field(1, b"<unk>") + b"\x15\0\0\0\0\x18\2") + field(1, field(1, b"a") + b"\x15\0\0\0\0"),
    "frozen-graph": tensorflow.GRAPH,
    "meta-graph": tensorflow.META,
    "openvino": frameworks.XML.encode(),
    "mlflow": mlflow.HONEST,
    "zarr": ORBAX["zarr"]["_METADATA"],
    "lightgbm": b"tree\nversion=v4\nnum_class=1\n\nTree=0\nnum_leaves=2\nthreshold=0.5\nleaf_value=1 2\n\nend of trees\n",
    "xgboost-json": b'{"learner":{"gradient_booster":{"model":{"trees":[{"split_conditions":[0.5,1.5]}]}}},"version":[3,2,0]}',
    "text": json.dumps({"weights": [1.5, 2.5], "name": "model"}).encode(),
    "msgpack": packed({"a": {"w": ARRAY}, "b": ARRAY[0]}),
    "ubjson": libraries.DATA["model.ubj"],
    "torch-distributed": pickle.dumps(Metadata({})),
    "pickle": PLAIN,
}  # fmt: skip
#: Those that are told by their name too.
NAMES = {"onnx-data": "model.onnx_data", "mlflow": "MLmodel", "openvino": "model.xml"}
#: Bytes of tensors that may be written.
LIMIT = 32 << 20


def opened(data: bytes, name: str = "model") -> Content | RefusedError:
    """What a load does with it: its format is told, and its numbers are read as they would be written."""
    reading = Reading(Allowlist({}), LIMIT, registry.judge, wanted=True)
    try:
        content = registry.judge(File(name, Span(MemorySource(data), 0, len(data))), reading)
        for entry in content.plan.entries if content.plan else ():
            for _ in entry.view.chunks():
                pass
    except RefusedError as refusal:
        return refusal
    return content
