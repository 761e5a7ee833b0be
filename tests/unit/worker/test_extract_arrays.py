"""Tensors and arrays in plain pickles come out as torch and numpy would have given them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from tests.unit.worker.checkpoints import saved
from tests.unit.worker.same_tensors import assert_same

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("protocol", range(6))
def test_tensors_in_a_plain_pickle_come_out_of_their_nested_checkpoints(
    exported: Any, protocol: int
) -> None:
    state = {"a": torch.randn(3, 4), "t": torch.randn(4, 3).t(), "big": torch.randn(5000)}
    assert_same(exported(pickle.dumps(state, protocol)), state)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_in_a_plain_pickle_become_tensors(exported: Any, protocol: int) -> None:
    arrays = {
        "c": np.arange(12, dtype=np.float32).reshape(3, 4),
        "f": np.asfortranarray(np.arange(12, dtype=np.int16).reshape(3, 4)),
        "big_endian": np.arange(5, dtype=">f8"),
        "flags": np.array([True, False]),
        "large": np.random.default_rng(0).standard_normal(5000),
        "none": np.zeros((0, 3), dtype=np.uint8),
        "point": np.array(3, dtype=np.int64),
    }
    got = exported(
        pickle.dumps(arrays | {"words": np.array(["x"]), "objects": np.array([None])}, protocol)
    )
    want = {
        name: torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
        for name, array in arrays.items()
    }
    assert_same(got, want)


def test_arrays_of_joblib_are_found_between_its_pickle_opcodes(
    exported: Any, tmp_path: Path
) -> None:
    joblib = pytest.importorskip("joblib")
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "f": np.asfortranarray(np.ones((2, 3), np.float32)),
        "o": np.array([1, "x"], object),
    }
    joblib.dump({"arrays": arrays, "after": 1}, tmp_path / "m.joblib")
    got = exported(tmp_path / "m.joblib")
    assert_same(
        got,
        {
            "arrays.a": torch.from_numpy(arrays["a"]),
            "arrays.f": torch.from_numpy(arrays["f"].copy("C")),
        },
    )


def test_numpy_arrays_beside_tensors_are_left_out_and_noted(extracted: Any) -> None:
    result = extracted(saved({"w": torch.ones(2), "rng": np.arange(3)}))
    assert [row["name"] for row in result["tensors"]] == ["w"]
    assert result["notes"] == ["1 numpy arrays beside the tensors are left out"]
