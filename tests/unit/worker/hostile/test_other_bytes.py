"""What is no checkpoint, or a damaged one, ends with a status and never with an error."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safe_load.worker import extract
from safe_load.worker.pickle_vm.builders import BUILDERS
from safetensors.torch import save

from tests import plan
from tests.unit.worker.checkpoints import rezipped, saved
from tests.unit.worker.hostile.streams import header


def entry(begin: int, end: int, shape: list[int], dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


BAD_SAFETENSORS = {
    "a hole": header({"a": entry(1, 2, [1])}, b"xx"),
    "an overlap": header({"a": entry(0, 2, [2]), "b": entry(1, 3, [2])}, b"xxx"),
    "accounts for": header({"a": entry(0, 1, [1])}, b"xx"),
    "does not fill": header({"a": entry(0, 2, [1])}, b"xx"),
    "dtype": header({"a": entry(0, 1, [1], "F128")}, b"x"),
    "whole": header({"a": entry(0, 1, [-1])}, b"x"),
    "twice": struct.pack("<Q", 65)
    + b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}'.ljust(65),
    "claims": struct.pack("<Q", 20) + b"{}" + b" " * 19 + b"{"[:0],
    "exactly": header({"a": {}}),
    "too deep": struct.pack("<Q", 300_000) + (b'{"a":' * 60_000).ljust(300_000),
    "no whole one": struct.pack("<Q", 64)
    + b'{"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}}'.ljust(64)
    + b"x",
}


@pytest.mark.parametrize("what", BAD_SAFETENSORS)
def test_a_safetensors_file_that_is_not_strict_is_refused(extracted: Any, what: str) -> None:
    result = extracted(BAD_SAFETENSORS[what])
    if what == "claims":
        assert result["status"] != "ok"
        return
    assert (result["format"], result["status"]) == ("safetensors", "not_loadable")
    assert what in result["reason"]


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(3))
    return file.getvalue()


#: Bytes -> format, state.
OTHERS = {
    "empty": (b"", "data"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body></html>", "data"),
    "git-lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "data"),
    "text in bzip2": (bz2.compress(b"x"), "data"),
    "text in xz": (lzma.compress(b"x"), "data"),
    "rar": (b"Rar!\x1a\7\1\0" + bytes(50), "not_judged"),
    "tar": (tar(), "data"),
    "json": (b'{"weights": 1}', "data"),
    "text": (b"copyright by nobody\nall rights\nreversed\n", "data"),
    "unknown": (b"\xff\xfe\xfd" * 31, "not_judged"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_checkpoint_is_told_by_its_bytes(extracted: Any, kind: str) -> None:
    data, state = OTHERS[kind]
    result = extracted(data)
    found = (result["format"], result["state"], result["status"], result["callables"])
    assert found == (kind, state, "unsupported", [])
    assert result["reason"].startswith("model.bin: ")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(50)),
        ("gguf", b"GGUF\3\0\0\0" + b"\xff" * 50),
        ("pdf", b"%PDF-1.7\n\xff\xff"),
        ("onnx", b"\x08\x07\x12\x07pytorch\x1a\x052.0.0" + bytes(50)),
    ],
)
def test_a_file_that_breaks_its_formats_rules_is_not_judged(
    extracted: Any, kind: str, data: bytes
) -> None:
    result = extracted(data)
    assert (result["format"], result["state"]) == (kind, "not_judged")
    assert result["status"] in {"not_loadable", "bomb"}
    assert result["why"]


def test_compressed_and_bare_pickles_of_plain_values_are_opened(extracted: Any) -> None:
    for data in (gzip.compress(pickle.dumps([1])), zlib.compress(pickle.dumps([1])), b"N."):
        result = extracted(data)
        assert (result["state"], result["status"]) == ("opened", "no_tensors")


def test_a_cut_off_file_is_refused(extracted: Any) -> None:
    state = {"w": torch.randn(100)}
    for data in (saved(state), saved(state, legacy=True), save(state), pickle.dumps(state)):
        assert extracted(data[: len(data) - 50])["status"] == "not_loadable"


ODD = (
    st.none() | st.booleans() | st.integers(-2, 1 << 65) | st.floats() | st.text(max_size=3) | st.binary(max_size=5)
    | st.sampled_from([torch.float32, torch.qint8, torch.FloatStorage, torch.Tensor, np.ndarray, np.dtype("f4"), np.dtype("O"), np.dtype("i1,f4"),
        torch.ones(2), np.arange(3), np.float32(1), os.system, dict, "C", "latin1", b"abc"])
)  # fmt: skip
ODD_DATA = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=8).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(BUILDERS)),
    st.lists(ODD_DATA, max_size=8).map(tuple),
    st.none() | ODD_DATA,
)
def test_no_arguments_and_no_state_bring_a_builder_to_its_knees(
    extracted: Any, name: str, args: tuple[object, ...], state: object
) -> None:
    module, _, attribute = name.rpartition(".")
    stream = f"c{module}\n{attribute}\n".encode() + pickle.dumps(args, 2)[2:-1] + b"R"
    stream += pickle.dumps(state, 2)[2:-1] + b"b" if state is not None else b""
    result = extracted(b"\x80\x02]" + stream + b"a.")
    assert result["status"] in {"ok", "not_loadable", "bomb", "no_tensors", "unsupported"}
    json.dumps(result)


STATUSES = {"ok", "not_loadable", "bomb", "no_tensors", "unsupported"}


#: What files of each format begin with: the bytes that make a reader look closer.
HEADS = [
    *(
        b"\x80\x02",
        b"\xde",
        b"\xdf",
        b"\x81",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00",
        b"GGUF\x03\0\0\0",
    ),
    *(
        b"\x89HDF\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"GIF89a",
        b"RIFF",
        b"BM",
        b"OggS",
    ),
    *(b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"x\x9c", b"\x04\x22\x4d\x18", b"7z\xbc\xaf'\x1c"),
    *(
        b"\x08\x07",
        b"\x0a\x10",
        b"\x7fELF",
        b"MZ",
        b"#!",
        b"{",
        b"[",
        b"%PDF",
        b"\0\0\0\x18ftyp",
        b"DIRC",
    ),
]
SEEDS = [
    saved({"a": torch.randn(3, 4).t(), "b": [torch.ones(2, dtype=torch.int8)], "c": np.arange(3)}),
    saved({"a": torch.randn(3, 4), "n": torch.nn.Linear(2, 2)}, legacy=True),
    pickle.dumps({"a": np.arange(6.0).reshape(2, 3).T, "t": torch.ones(2), "d": {1: {2, 3}}}, 2),
    pickle.dumps({"a": np.arange(6.0), "s": "x" * 300, "f": 1.5}, 5),
    pickle.dumps({"a": [1, 2.5, "x", b"y", (None, True)], "l": 1 << 90}, 0),
    save({"a": torch.ones(3), "b": torch.ones(2, 2)}),
    rezipped(
        saved({"a": torch.zeros(500), "b": torch.zeros(20, 30).t()}), method=zipfile.ZIP_DEFLATED
    ),
]


@settings(
    max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(SEEDS),
    st.lists(
        st.tuples(
            st.integers(0, 1 << 16),
            st.sampled_from(["set", "cut", "insert", "drop"]),
            st.binary(min_size=1, max_size=4),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_a_damaged_file_gives_a_status_and_never_an_error(
    extracted: Any, seed: bytes, edits: list[tuple[int, str, bytes]]
) -> None:
    data = seed
    for place, kind, value in edits:
        at = place % (len(data) + 1)
        if kind == "cut":
            data = data[:at] if len(edits) == 1 else data
        elif kind == "set":
            data = data[:at] + value + data[at + len(value) :]
        elif kind == "insert":
            data = data[:at] + value + data[at:]
        else:
            data = data[:at] + data[at + len(value) :]
    result = extracted(data, fingerprint_budget=100)
    assert result["status"] in STATUSES
    assert (result["reason"] is None) is (result["status"] == "ok")
    json.dumps(result)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_status_and_never_an_error(extracted: Any, data: bytes) -> None:
    result = extracted(data)
    assert result["status"] in STATUSES - {"ok"}
    assert result["state"] in {"opened", "data", "not_judged"}
    assert extract.PARSER_FAILED not in (result["reason"] or "")


@settings(
    max_examples=2000 if plan.whole("loops") else 700,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(min_size=1, max_size=16), st.binary(max_size=16))
def test_no_short_file_makes_a_reader_fail(extracted: Any, head: bytes, tail: bytes) -> None:
    magic = HEADS[head[0] % len(HEADS)]
    result = extracted(magic[: head[-1] % (len(magic) + 1)] + head[1:] + tail)
    assert extract.PARSER_FAILED not in (result["reason"] or "")
