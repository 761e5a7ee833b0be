"""A histogram tells how a tensor's numbers are spread, whatever its type, from a bounded sample."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from safe_load.core.histogram import Histogram
from safe_load.worker import extract
from safe_load.worker.tensors import histograms
from safetensors.torch import save_file

if TYPE_CHECKING:
    from pathlib import Path


def histogram_of(tensor: torch.Tensor, folder: Path, *, pickled: bool = False) -> Any:
    """What extraction says of the only tensor of a file."""
    path = folder / ("w.bin" if pickled else "w.safetensors")
    if pickled:
        torch.save({"w": tensor}, path)
    else:
        save_file({"w": tensor.contiguous()}, path)
    file = {"path": str(path), "name": path.name, "output": None}
    (result,) = extract.main({"files": [file], "histograms": True}, ())["files"]
    (row,) = result["tensors"]
    told = row["histogram"]
    if told is not None:  # it is what the controller takes, after a way through JSON
        msgspec.convert(json.loads(json.dumps(told)), Histogram, strict=True)
    return told


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"],
)
def test_it_counts_what_numpy_counts(dtype: str, tmp_path: Path) -> None:
    numbers = (torch.randn(60, 60) * 20).clamp(0, 100).to(getattr(torch, dtype))
    told = histogram_of(numbers, tmp_path)
    plain = numbers.double().numpy()
    assert (told["low"], told["high"]) == (plain.min(), plain.max())
    assert told["sampled"] == sum(told["counts"]) == plain.size
    assert told["not_finite"] == 0
    expected, _ = np.histogram(plain, histograms.BINS)
    assert (
        np.abs(np.array(told["counts"]) - expected).max() <= 2
    )  # a number on the edge of two steps


def test_a_view_in_another_order_has_the_histogram_of_its_numbers(tmp_path: Path) -> None:
    numbers = torch.arange(1000.0).reshape(20, 50)
    turned = histogram_of(numbers.T, tmp_path, pickled=True)
    assert turned == histogram_of(numbers, tmp_path)


def test_of_a_large_tensor_only_a_sample_from_all_of_it_is_read(tmp_path: Path) -> None:
    told = histogram_of(torch.arange(1_000_000.0), tmp_path)
    assert told["sampled"] == sum(told["counts"]) == histograms.MOST
    assert told["low"] == 0
    assert told["high"] == 999_999
    assert min(told["counts"][0], told["counts"][-1]) > 0


@pytest.mark.parametrize(
    ("numbers", "counted", "odd"),
    [
        ([float("nan"), float("inf"), 1.0], 1, 2),
        ([float("nan")] * 3, 0, 3),
        ([1.7e308, -1.7e308, 0.0], 3, 0),
        ([5.0] * 4, 4, 0),
        ([5e-324, 0.0], 2, 0),
    ],
)
def test_numbers_at_the_ends_of_what_there_is(
    numbers: list[float], counted: int, odd: int, tmp_path: Path
) -> None:
    told = histogram_of(torch.tensor(numbers, dtype=torch.float64), tmp_path)
    assert sum(told["counts"]) == counted
    assert told["not_finite"] == odd


@pytest.mark.parametrize("tensor", [torch.zeros(0), torch.zeros(3, dtype=torch.complex64)])
def test_what_has_no_single_numbers_has_none(tensor: torch.Tensor, tmp_path: Path) -> None:
    assert histogram_of(tensor, tmp_path) is None


def test_nothing_is_sampled_where_nobody_asks(tmp_path: Path) -> None:
    save_file({"w": torch.ones(3)}, tmp_path / "w.safetensors")
    file = {"path": str(tmp_path / "w.safetensors"), "name": "w", "output": None}
    (result,) = extract.main({"files": [file]}, ())["files"]
    assert "histogram" not in result["tensors"][0]


@pytest.mark.parametrize(
    "forged",
    [
        {"counts": [1] * 65},
        {"counts": [-1]},
        {"low": float("nan")},
        {"high": float("inf")},
        {"sampled": 1 << 64},
        {"low": "<script>"},
    ],
)
def test_what_a_room_forges_is_refused(forged: dict[str, object]) -> None:
    honest = {"counts": [1, 2], "low": 0.0, "high": 1.0, "sampled": 3, "not_finite": 0}
    msgspec.convert(honest, Histogram, strict=True)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(honest | forged, Histogram, strict=True)


def test_every_type_of_one_number_is_sampled() -> None:
    sizes = {name: struct.calcsize(f"<{kind}") for name, kind in histograms._KINDS.items()}
    assert all(
        size * 8 == int("".join(filter(str.isdigit, name)) or 8) for name, size in sizes.items()
    )
