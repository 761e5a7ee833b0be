"""Sparse tensors whose indices lead out of their size are told; those that torch makes are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load import profiles
from safe_load.worker.formats import registry
from safe_load.worker.formats.interface import File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.spans import MemorySource, Span

from tests.unit.worker.checkpoints import saved

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.filterwarnings("ignore")

DENSE = torch.tensor([[0.0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4], [0, 5, 0, 0]])
MAKE: dict[str, Callable[[], torch.Tensor]] = {
    "coo": DENSE.to_sparse,
    "coo with strided indices": lambda: torch.sparse_coo_tensor(DENSE.nonzero().t(), torch.ones(5), (4, 4)),
    "hybrid": lambda: torch.sparse_coo_tensor(torch.tensor([[0, 3]]), torch.ones(2, 7), (4, 7)),
    "empty": lambda: torch.zeros(3, 3).to_sparse(),
    "csr": DENSE.to_sparse_csr,
    "csc": DENSE.to_sparse_csc,
    "bsr": lambda: DENSE.to_sparse_bsr((2, 2)),
    "bsc": lambda: DENSE.to_sparse_bsc((2, 2)),
    "batch": lambda: torch.stack([DENSE, DENSE]).to_sparse_csr(),
    "narrow indices": lambda: torch.sparse_csr_tensor(
        torch.tensor([0, 1, 2], dtype=torch.int32), torch.tensor([0, 1], dtype=torch.int32), torch.ones(2), (2, 2)
    ),
}  # fmt: skip


class Made:
    """A sparse tensor with other indices than torch would take."""

    def __init__(self, layout: torch.layout, *data: object) -> None:
        self.data = layout, data

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_sparse_tensor, self.data


def numbers(*values: int) -> torch.Tensor:
    return torch.tensor(values)


ONES = torch.ones(2)
WRONG = {
    "row": Made(torch.sparse_coo, torch.tensor([[0, 9], [0, 0]]), ONES, torch.Size((2, 2)), False),
    "below zero": Made(torch.sparse_coo, torch.tensor([[0, -1], [0, 0]]), ONES, torch.Size((2, 2)), False),
    "fewer values": Made(torch.sparse_coo, torch.tensor([[0, 1], [0, 0]]), torch.ones(1), torch.Size((2, 2)), True),
    "column": Made(torch.sparse_csr, numbers(0, 1, 2), numbers(0, 1 << 40), ONES, torch.Size((2, 2))),
    "start": Made(torch.sparse_csr, numbers(0, 9, 2), numbers(0, 1), ONES, torch.Size((2, 2))),
    "falling starts": Made(torch.sparse_csr, numbers(0, 2, 1, 2), numbers(0, 1), ONES, torch.Size((3, 2))),
    "too few starts": Made(torch.sparse_csc, numbers(0, 2), numbers(0, 1), ONES, torch.Size((2, 2))),
    "block": Made(torch.sparse_bsr, numbers(0, 1), numbers(1), torch.ones(1, 2, 2), torch.Size((2, 2))),
}  # fmt: skip


def told(value: object, *, legacy: bool) -> set[str]:
    data = saved({"w": value}, legacy=legacy)
    reading = Reading(Allowlist(profiles.ordinary_callables()), 1 << 30, registry.judge)
    registry.judge(File("model.bin", Span(MemorySource(data), 0, len(data))), reading)
    return {f"{entry['name']} {entry['use']}" for entry in reading.callables}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", MAKE)
def test_what_torch_makes_is_ordinary(kind: str, legacy: bool) -> None:
    assert told(MAKE[kind](), legacy=legacy) == set()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("how", WRONG)
def test_indices_that_lead_out_of_the_size_are_told(how: str, legacy: bool) -> None:
    found = told(WRONG[how], legacy=legacy)
    assert found == {"torch._utils._rebuild_sparse_tensor native"}
