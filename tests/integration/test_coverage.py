"""Every file of a source is accounted for; what honest folders hold beside weights does not speak against them."""

from __future__ import annotations

import io
import os
import pickle
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from safe_load.core.options import Options
from safe_load.loading import pipeline
from safetensors.torch import load_file

from tests.unit.worker.formats.test_data import gguf, onnx, packed

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore")

WEIGHTS = {"w": torch.arange(6.0).reshape(2, 3)}


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def scripted() -> bytes:
    file = io.BytesIO()
    holder = torch.nn.Module()
    holder.w = torch.nn.Parameter(torch.ones(3))
    torch.jit.save(torch.jit.script(holder), file)
    return file.getvalue()


#: What lies in a clone of an honest repository: path -> bytes, and the state that it has in the report.
NEIGHBOURS: dict[str, tuple[Callable[[], bytes], str]] = {
    "flax_model.msgpack": (lambda: packed({"a": {"w": np.ones((2, 2), "f4")}}), "data"),
    "onnx/model.onnx": (lambda: onnx(location="model.onnx_data"), "data"),
    "onnx/model.onnx_data": (lambda: b"\x82\xab_" + bytes(range(256)), "data"),
    "openvino/openvino_model.xml": (lambda: b'<?xml version="1.0"?><net name="m"></net>', "data"),
    "openvino/openvino_model.bin": (lambda: bytes(range(255, 0, -1)) * 4, "data"),
    "model-q4.gguf": (gguf, "data"),
    "rust_model.ot": (scripted, "opened"),
    "plot.png": (picture, "data"),
    "README.md": (lambda: b"---\nlicense: mit\n---\n# GPT-2\n", "data"),
    ".gitattributes": (lambda: b"*.bin filter=lfs\n", "data"),
    ".git/objects/ab/cdef": (lambda: zlib.compress(b"blob 3\0abc"), "data"),
    ".cache/huggingface/download/x.metadata": (lambda: b"abc\n1\n", "data"),
    "statistics.npy": (lambda: written(np.arange(3)), "opened"),
    "scheduler.pt": (lambda: saved({"last_epoch": 3}), "opened"),
}


def written(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def folder(where: Path, *names: str) -> Path:
    where.mkdir()
    torch.save(WEIGHTS, where / "pytorch_model.bin")
    for name in names:
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        (where / name).write_bytes(NEIGHBOURS[name][0]())
    return where


def test_what_honest_folders_hold_is_accounted_for_and_clean(tmp_path: Path) -> None:
    source = folder(tmp_path / "model", *NEIGHBOURS)
    scanned = pipeline.scan(str(source), Options())
    assert [found.detail for found in scanned.findings] == []
    assert (scanned.outcome, scanned.verdict) == ("ok", "clean")
    states = {file.path: file.state for file in scanned.files if file.path in NEIGHBOURS}
    assert states == {name: state for name, (_, state) in NEIGHBOURS.items()}
    loaded = pipeline.load(str(source), tmp_path / "cleared", Options())
    assert (loaded.outcome, loaded.verdict) == ("ok", "clean")
    assert torch.equal(load_file(tmp_path / "cleared" / "model.safetensors")["w"], WEIGHTS["w"])


def test_what_was_not_judged_is_never_clean_in_a_scan_and_is_left_out_of_a_load(
    tmp_path: Path,
) -> None:
    source = folder(tmp_path / "model")
    (source / "deep" / "a" / "b").mkdir(parents=True)
    (source / "deep" / "a" / "b" / "x.7z").write_bytes(b"7z\xbc\xaf\x27\x1c\0\4" + bytes(40))
    scanned = pipeline.scan(str(source), Options())
    assert (scanned.outcome, scanned.verdict) == ("rejected", "suspicious")
    assert [found.id for found in scanned.findings] == ["SL507"]
    loaded = pipeline.load(str(source), tmp_path / "cleared", Options())
    assert (loaded.outcome, loaded.verdict) == ("ok", "clean")
    assert {file.path: file.state for file in loaded.files}["deep/a/b/x.7z"] == "left_out"
    assert any("deep/a/b/x.7z" in note for note in loaded.notes)
    assert not (tmp_path / "cleared" / "deep").exists()


def test_plain_values_are_fine_to_scan_and_nothing_to_load(tmp_path: Path) -> None:
    (tmp_path / "scheduler.pkl").write_bytes(pickle.dumps({"last_epoch": 3}))
    assert pipeline.scan(str(tmp_path / "scheduler.pkl"), Options()).outcome == "ok"
    loaded = pipeline.load(str(tmp_path / "scheduler.pkl"), tmp_path / "cleared", Options())
    assert loaded.outcome == "not_loadable"


def test_a_name_that_is_no_utf8_loads_under_an_escaped_one(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    path = Path(os.fsdecode(os.fsencode(tmp_path / "model") + b"/latin1-\xe4.pt"))
    torch.save(WEIGHTS, path)
    torch.save(WEIGHTS, tmp_path / "model" / "new\nline.pt")
    for source, count in ((tmp_path / "model", 2), (path, 1)):
        target = tmp_path / f"cleared-{count}"
        report = pipeline.load(str(source), target, Options())
        assert report.outcome == "ok"
        tensors = [load_file(file) for file in target.glob("*.safetensors")]
        assert len(tensors) == count
        assert all(torch.equal(found["w"], WEIGHTS["w"]) for found in tensors)
        assert all(file.name.isprintable() for file in target.iterdir())
