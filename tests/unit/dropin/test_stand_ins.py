"""What is not made again becomes a stand-in that says so, and nothing is imported."""

from __future__ import annotations

import argparse
import copy
import enum
import pickle
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.core.errors import NotLoadable
from safe_load.dropin import unmodelled

from tests.unit.dropin.alike import assert_alike
from tests.unit.dropin.making import made_again

if TYPE_CHECKING:
    from pathlib import Path


#: Of storages, quantised, sparse and nested tensors, as torch speaks of them when they are used.
pytestmark = pytest.mark.filterwarnings("ignore")


class Recipe:
    """Of this test: nothing that safe-load models."""

    def __init__(self, lr: float) -> None:
        self.lr = lr
        self.weight = torch.ones(2)

    def run(self) -> None:
        raise AssertionError("its code runs")


class Settings(dict[str, Any]):
    """A dict of its own class."""


class Rows(list[Any]):
    """A list of its own class."""


class Colour(enum.Enum):
    """An enumeration that this process has imported."""

    RED = "red"


def test_other_objects_become_stand_ins_that_say_so(tmp_path: Path) -> None:
    shared = Recipe(0.1)
    held = [shared, shared, Recipe(0.2), Settings(lr=3), Rows([1, 2]), Recipe, warnings.warn]
    torch.save(held, tmp_path / "o.pt")
    got, making = made_again(tmp_path / "o.pt", tmp_path / "out")
    name = f"{Recipe.__module__}.Recipe"
    assert repr(got[0]) == f"<stand-in for {name} (not modelled: its code was not loaded)>"
    assert repr(got[5]) == repr(got[0])
    assert got[0] is got[1]
    assert (got[0].lr, got[2].lr, got[0].weight.tolist()) == (0.1, 0.2, [1.0, 1.0])
    assert isinstance(got[3], dict)
    assert (got[3]["lr"], got[3].lr, dict(got[3])) == (3, 3, {"lr": 3})
    assert isinstance(got[4], list)
    assert list(got[4]) == [1, 2]
    for wrong in (
        got[0],
        lambda: got[0].run,
        lambda: got[5](0.1),
        lambda: got[6]("x"),
        lambda: pickle.dumps(got[0]),
        lambda: pickle.dumps(got[5]),
    ):
        with pytest.raises(NotLoadable, match=r"not modelled.*load_file"):
            wrong()
    assert not hasattr(got[0], "run")
    assert copy.deepcopy(got)[0].weight.tolist() == [1.0, 1.0]
    assert copy.copy(got[3])["lr"] == 3
    sentence = making.stand_ins.sentence("o.pt")
    assert sentence is not None
    assert sentence.count(name) == 1
    assert "warnings.warn" in sentence


def test_members_of_imported_enumerations_are_found_and_none_is_made(tmp_path: Path) -> None:
    class Unknown(enum.Enum):
        X = 1

    Unknown.__module__, Unknown.__qualname__ = "not_installed", "Unknown"
    module: Any = types.ModuleType("not_installed")
    module.Unknown = Unknown
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "not_installed", module)
        torch.save([Colour.RED, Unknown.X], tmp_path / "e.pt")
    got, making = made_again(tmp_path / "e.pt", tmp_path / "out")
    assert got[0] is Colour.RED
    assert isinstance(got[1], unmodelled.StandIn)
    assert any(name.startswith("not_installed.Unknown") for name in making.stand_ins.used)


def test_nothing_a_file_names_is_imported(tmp_path: Path) -> None:
    """A hostile name: modules beside the file, attributes of imported ones, methods of the stand-in."""
    names = (
        "antigravity.x",
        "os.system",
        "builtins.eval",
        "torch.load",
        "torch.hub.load",
        "sys.exit",
    )
    for name in names:
        module, _, attribute = name.rpartition(".")
        data = f"c{module}\n{attribute}\n.".encode()
        (tmp_path / "n.pkl").write_bytes(data)
        got, making = made_again(tmp_path / "n.pkl", tmp_path / "out")
        assert isinstance(got, unmodelled.StandInClass)
        assert making.stand_ins.used == {name: 0}
    assert "antigravity" not in sys.modules


def test_state_that_would_replace_a_method_gives_a_stand_in(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    vars(layer)["forward"] = print
    space = argparse.Namespace()
    vars(space)["__class__"] = "other"
    torch.save([layer, space], tmp_path / "h.pt")
    got, _ = made_again(tmp_path / "h.pt", tmp_path / "out")
    assert not isinstance(got[0], torch.nn.Module)
    assert got[0].in_features == 2


def test_a_checkpoint_of_fairseq_loads_without_fairseq(tmp_path: Path) -> None:
    """hubert_base.pt holds a Dictionary of the library beside weights and configuration."""
    module: Any = types.ModuleType("fairseq.data.dictionary")
    module.Dictionary = type("Dictionary", (), {"__module__": "fairseq.data.dictionary"})
    words = module.Dictionary()
    vars(words).update(symbols=["<s>", "a"], indices={"<s>": 0, "a": 1}, bos_index=0)
    held = {
        "args": None, "cfg": {"common": {"seed": 1337, "fp16": True}}, "model": {"w": torch.ones(2).half()},
        "task_state": {"dictionaries": [words]},
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fairseq", "fairseq.data", "fairseq.data.dictionary"):
            patch.setitem(sys.modules, name, module)
        torch.save(held, tmp_path / "hubert_base.pt")
    got, making = made_again(tmp_path / "hubert_base.pt", tmp_path / "out")
    (stand_in,) = got.pop("task_state")["dictionaries"]
    del held["task_state"]
    assert_alike(held, got)
    assert making.stand_ins.used == {"fairseq.data.dictionary.Dictionary": 1}
    assert (stand_in.symbols, stand_in.bos_index) == (["<s>", "a"], 0)
