"""GGUF files come out with the values that the gguf package reads, under their own names."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import _type_traits
from safe_load.export import safetensors_check
from safe_load.worker.formats import interface

from tests.unit.worker.formats.test_data import judged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = sorted(_type_traits, key=int)
PLAIN = (np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64)


def written(path: Path) -> Path:
    """Every type that the package knows, as its writer lays it out, and settings of each kind."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_uint32("llama.block_count", 2)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_array("tokenizer.ggml.tokens", [f"t{i}" for i in range(500)])
    writer.add_array("llama.sections", [1, 2, 3])
    random = np.random.default_rng(7)
    for kind in KINDS:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        data = random.integers(0, 120, (3, 2 * max(256 // block, 1) * size), dtype=np.uint8)
        writer.add_tensor(f"blk.{kind.name}.weight", data, raw_dtype=kind)
    for number, dtype in enumerate(PLAIN):
        writer.add_tensor(f"plain.{number}", random.integers(0, 99, (2, 5)).astype(dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_every_type_is_what_the_package_dequantises(
    exported: Callable[..., dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    path = written(tmp_path / "model.gguf")
    tensors = exported(path)
    reader = gguf.GGUFReader(path)
    assert {each.name for each in reader.tensors} == tensors.keys()
    for each in reader.tensors:
        got = tensors[each.name]
        expected = each.data
        if each.tensor_type in KINDS:
            expected = gguf.dequantize(each.data, each.tensor_type)
        if got.dtype == torch.bfloat16:
            got = got.float()  # the package gives these as float32, the export as they are
        assert got.numpy().tobytes() == np.ascontiguousarray(expected).tobytes(), each.name
        assert got.shape == expected.shape


def test_blocks_are_kept_as_they_are_on_request(
    exported: Callable[..., dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    path = written(tmp_path / "model.gguf")
    tensors = exported(path, quantised="blocks")
    for each in gguf.GGUFReader(path).tensors:
        if each.tensor_type in KINDS and each.tensor_type.name != "BF16":
            assert tensors[each.name].dtype == torch.uint8
            assert tensors[each.name].numpy().tobytes() == each.data.tobytes()
            assert tensors[each.name].shape == each.data.shape
    metadata = safetensors_check.check(tmp_path / "out.safetensors").metadata
    assert metadata["safe_load.view:blk.Q4_0.weight"].startswith("uint8 gguf=Q4_0 of 3x")


def test_settings_are_metadata_of_the_export(exported: Callable[..., Any], tmp_path: Path) -> None:
    exported(written(tmp_path / "model.gguf"))
    metadata = safetensors_check.check(tmp_path / "out.safetensors").metadata
    assert metadata["safe_load.gguf.general.architecture"] == "llama"
    assert metadata["safe_load.gguf.llama.block_count"] == "2"
    assert json.loads(metadata["safe_load.gguf.llama.sections"]) == [1, 2, 3]
    assert "safe_load.gguf.tokenizer.ggml.tokens" not in metadata


def test_a_scan_computes_nothing_and_needs_no_package(
    tmp_path: Path, extracted: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name=name)

    path = written(tmp_path / "model.gguf")
    monkeypatch.setattr(interface, "import_module", missing)
    result = extracted(path, export=False, fingerprint_budget=1 << 16)
    assert (result["status"], result["state"], result["carried"]) == ("ok", "data", [])
    assert len(result["tensors"]) == len(KINDS) + len(PLAIN)
    result = extracted(path)
    assert (result["status"], result["state"]) == ("unsupported", "data")
    assert "pip install 'safe-load[formats]'" in result["reason"]


def test_four_gigabytes_are_judged_in_a_second(
    tmp_path: Path, extracted: Callable[..., dict[str, Any]]
) -> None:
    path = tmp_path / "large.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    rows, blocks = 1 << 20, 227
    size = rows * blocks * 18
    kind = gguf.GGMLQuantizationType.Q4_0
    writer.add_tensor_info("w", (rows, blocks * 18), np.dtype("u1"), size, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    begin = -(-path.stat().st_size // 32) * 32
    os.truncate(path, begin + size)
    started = time.monotonic()
    result = extracted(path, export=False, fingerprint_budget=1 << 16)
    assert (result["status"], result["tensors"][0]["shape"]) == ("ok", (rows, 32 * blocks))
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda line: line[:-8] + (32).to_bytes(8, "little"), "there is a hole"),
        (lambda line: line[:-20] + (64).to_bytes(8, "little") + line[-12:], "its sizes are false"),
        (lambda line: line[:-8] + (7).to_bytes(8, "little"), "not aligned"),
        (lambda line: line[:-12] + (99).to_bytes(4, "little") + line[-8:], "which is unknown"),
        (lambda line: line[:-20] + (31).to_bytes(8, "little") + line[-12:], "fill blocks of Q4_0"),
        (lambda line: line[:-20] + (1 << 60).to_bytes(8, "little") + line[-12:], "more elements"),
    ],
)
def test_a_table_that_lies_is_refused(change: Callable[[bytes], bytes], says: str) -> None:
    line = b"\1\0\0\0\0\0\0\0w\1\0\0\0" + (32).to_bytes(8, "little") + b"\2\0\0\0" + bytes(8)
    for table, refused in ((line, False), (change(line), True)):
        head = b"GGUF\3\0\0\0" + (1).to_bytes(8, "little") + bytes(8) + table
        result, _ = judged(head + bytes(-len(head) % 32) + bytes(18))
        assert isinstance(result, interface.RefusedError) is refused
        if refused:
            assert says in result.reason
