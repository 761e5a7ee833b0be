"""What numpy pickles besides plain arrays: nothing is told of it, and both rooms name the same numbers."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from safe_load.profiles import ordinary_callables
from safe_load.worker.detonate.tensor_table import Tables
from safe_load.worker.formats.pickled import Reader
from safe_load.worker.pickle_vm.callables import Allowlist, Ledger
from safe_load.worker.spans import MemorySource, Span
from safe_load.worker.tensors.walk import Walk

_CELLS = np.empty((), object)
_CELLS[()] = {"a": np.eye(2), "b": [np.arange(3.0)]}
VALUES: dict[str, Any] = {
    "masked": np.ma.array([1, 2.5], mask=[0, 1]),
    "masked objects": np.ma.array(["a", None], mask=[0, 1], dtype=object),
    "matrix": np.array([[1, 2.5]]).view(np.matrix),
    "records": np.rec.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f4")]),
    "type of records": np.dtype((np.record, [("a", "i4")])),
    "characters": np.array(["a"]).view(np.char.chararray),
    "generator": np.random.default_rng(3),
    "old generator": np.random.RandomState(3),
    "a dict in a cell": _CELLS,
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_value_of_numpy_is_ordinary_and_has_the_same_names_in_both_rooms(
    name: str, protocol: int
) -> None:
    data = pickle.dumps(VALUES[name], protocol)
    ledger = Ledger(Allowlist(ordinary_callables()))
    root = Reader(ledger).read(Span(MemorySource(data), 0, len(data)))
    assert ledger.entries() == []
    rows = Tables(0).rows(pickle.loads(data))
    walk = Walk(root)
    assert [path for path, _ in walk.tensors(walk.root)] == [row["name"] for row in rows]


def test_a_masked_array_of_a_class_of_ones_own_is_told() -> None:
    cell = pickle.dumps(np.ma.array([1], mask=[0]), 2).replace(b"numpy.ma", b"payload.a")
    ledger = Ledger(Allowlist(ordinary_callables()))
    Reader(ledger).read(Span(MemorySource(cell), 0, len(cell)))
    assert any(entry["called"] for entry in ledger.entries())
