"""What is written as a view, because safetensors lacks its type, is made again as it was."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.export import safetensors_check, views
from safetensors import safe_open
from safetensors.torch import load_file

from tests.unit.dropin.alike import assert_alike
from tests.unit.dropin.making import taken_apart

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # of what torch calls a prototype


def _held() -> dict[str, Any]:
    dense = torch.tensor([[0.0, 1, 0, 2], [0, 0, 3, 0], [4, 0, 0, 0], [0, 5, 6, 0]])
    scales, zeros = torch.tensor([0.1, 0.2]), torch.tensor([1, 2])
    return {
        "complex128": torch.randn(2, 3, dtype=torch.complex128),
        "complex32": torch.randn(3, dtype=torch.complex64).to(torch.complex32),
        "qint8": torch.quantize_per_tensor(torch.randn(3), 0.1, 3, torch.qint8),
        "quint8": torch.quantize_per_tensor(torch.randn(2, 2), 1e-3, 0, torch.quint8),
        "qint32": torch.quantize_per_tensor(torch.randn(2), 0.5, -2, torch.qint32),
        "channels": torch.quantize_per_channel(torch.randn(2, 3), scales, zeros, 0, torch.qint8),
        "halves": torch.quantize_per_channel(
            torch.randn(2, 5), scales, torch.zeros(2), 0, torch.quint4x2
        ),
        "coo": dense.to_sparse(),
        "hybrid": torch.sparse_coo_tensor(torch.tensor([[0, 0, 1]]), torch.randn(3, 2), (2, 2)),
        "csr": dense.to_sparse_csr(),
        "csc": dense.to_sparse_csc(),
        "bsr": dense.to_sparse_bsr((2, 2)),
        "bsc": dense.to_sparse_bsc((2, 2)),
        "complex coo": dense.to(torch.complex128).to_sparse(),
        "nested": torch.nested.nested_tensor([torch.ones(2, 1), torch.zeros(3, 2)]),
        "w": torch.randn(2),
    }


def _written(path: Path, held: object, folder: Path) -> tuple[dict[str, Any], dict[str, str], Any]:
    torch.save(held, path)
    result = taken_apart(path, folder, whole=False)
    assert (result["status"], result["reason"]) == ("ok", None)
    file = folder / "model.safetensors"
    safetensors_check.check(file)
    with safe_open(file, framework="np") as opened:
        return load_file(file), opened.metadata(), result


def test_each_type_that_safetensors_lacks_is_what_it_was(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = _held()
    written, metadata, result = _written(tmp_path / "t.pt", held, tmp_path / "out")
    got = views.undone(written, metadata)
    assert set(got) == set(held)
    assert_alike(held, {name: got[name] for name in held})
    told = " ".join(result["notes"])
    assert (
        "'complex128' is complex128, which safetensors lacks; it is written as F64 [2, 3, 2]"
        in told
    )
    assert "'qint8' is qint8 per_tensor_affine" in told
    assert (
        "'csr' is a sparse tensor; it is written as its crow_indices and col_indices and values"
        in told
    )


def test_complex_numbers_lie_at_multiples_of_their_size(tmp_path: Path) -> None:
    """Compiled code takes them 16 bytes at once, and ends the process where they lie elsewhere."""
    for number in range(8):
        held = {"n" * (number + 1): torch.randn(3, dtype=torch.complex128), "w": torch.ones(1)}
        written, metadata, _ = _written(tmp_path / "c.pt", held, tmp_path / str(number))
        for value in views.undone(written, metadata).values():
            assert value.data_ptr() % value.element_size() == 0


def test_a_bare_tensor_is_made_again_too(tmp_path: Path) -> None:
    for number, value in enumerate((torch.eye(2).to_sparse(), torch.ones(2).to(torch.complex128))):
        written, metadata, _ = _written(tmp_path / "b.pt", value, tmp_path / str(number))
        assert_alike({"tensor": value}, views.undone(written, metadata))


def test_a_meta_tensor_is_named_and_left_out(tmp_path: Path) -> None:
    held = {
        "m": torch.empty(2, device="meta"),
        "w": torch.ones(1),
        "s": torch.ones(2).untyped_storage(),
    }
    written, _, result = _written(tmp_path / "m.pt", held, tmp_path / "out")
    assert list(written) == ["w"]
    assert result["notes"] == [
        "'m' is a meta tensor: it has a shape but no numbers; it is left out"
    ]


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({}, "float64 nested"),
        ({"t.values": torch.ones(3)}, "float32 sparse_coo size=3x3"),
        ({"t.indices": torch.tensor([[0, 9], [1, 1]])}, "float32 sparse_coo size=3x3"),
        ({}, "float32 sparse_coo size=99999999999999999999x3"),
        ({}, "float32 sparse_xyz size=3x3"),
        ({}, "float32 sparse_csr size=3x3"),
        ({}, "float32 per_channel_affine axis=7"),
        ({}, "qint8 per_tensor_affine scale=nan zero_point=1"),
        ({}, "load"),
        ({}, "ops"),
        ({}, "no_such_type"),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_each_other_stay_what_was_written(
    change: dict[str, Any], remark: str
) -> None:
    parts = {"t.values": torch.ones(2), "t.indices": torch.tensor([[0, 1], [1, 1]])} | change
    got = views.undone(parts, {f"{views.PREFIX}t.values": remark, "format": "pt"})
    assert all(got[name] is value for name, value in parts.items())
