"""What compiled code of a library reads out of a pickle is judged as the file that it is."""

from __future__ import annotations

import pickle
import sys
import types
from typing import Any

import pytest
from safe_load.worker.formats.interface import Content
from safe_load.worker.refusal import RefusedError

from tests.unit.worker.formats.test_data import judged

#: As lightgbm 4.6 writes it, with one tree.
LIGHTGBM = "tree\nversion=v4\nnum_class=1\nmax_feature_idx=1\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=1\n\nend of trees\n"


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an object of a library's class, with that state."""

    def make(full: str, state: object) -> Any:
        module, _, name = full.rpartition(".")
        for end in (*(at for at, letter in enumerate(module) if letter == "."), len(module)):
            home = types.ModuleType(module[:end])
            monkeypatch.setitem(sys.modules, module[:end], home)
        cls: Any = type(name, (), {"__getstate__": lambda _: state})
        cls.__module__ = module
        monkeypatch.setattr(sys.modules[module], name, cls, raising=False)
        return cls()

    return make


GOOD = {
    "xgboost.core.Booster": {
        "handle": bytearray(b'{"learner": {"gradient_booster": {}}, "version": [3, 2, 0]}')
    },
    "lightgbm.basic.Booster": {"handle": LIGHTGBM},
    "tokenizers.Tokenizer": b'{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}',
}
#: LightGBM's of a node whose children are two leaves.
TREE = LIGHTGBM.replace(
    "num_leaves=1", "num_leaves=2\nsplit_feature=0\nleft_child=-1\nright_child=-2"
)
XGBOOST = '{"learner": {"gradient_booster": {}, "trees": [{"left_children": [1, -1, -1], "right_children": [2, -1, -1]}]}, "version": [3, 2, 0]}'
GOOD_TREES = {"xgboost.core.Booster": XGBOOST, "lightgbm.basic.Booster": TREE}
BAD_TREES = [
    ("xgboost.core.Booster", XGBOOST.replace("[2, -1", "[3, -1")),
    ("xgboost.core.Booster", XGBOOST.replace("[1, -1", "[-2, -1")),
    ("lightgbm.basic.Booster", TREE.replace("left_child=-1", "left_child=-3")),
    ("lightgbm.basic.Booster", TREE.replace("right_child=-2", "right_child=1")),
]
BAD = {
    "xgboost.core.Booster": {"handle": bytearray(b"binf" + b"\xff" * 60)},
    "catboost.core.CatBoostClassifier": {"__model": b"CBM1" + b"\xff" * 40},
    "sentencepiece.SentencePieceProcessor": b"\x0a\xff\xff\xff\xff\x7f",
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_of_a_known_format_is_read(name: str, library: Any) -> None:
    made = library(name, GOOD[name])
    for value in (made, {"a": [made]}):
        content, _ = judged(pickle.dumps(value))
        assert isinstance(content, Content)
        assert (content.state, content.why) == ("opened", "read as data")


@pytest.mark.parametrize("name", BAD)
def test_what_is_of_no_known_format_is_not_judged(name: str, library: Any) -> None:
    content, _ = judged(pickle.dumps([library(name, BAD[name])]))
    assert not isinstance(content, RefusedError)
    assert content.state == "not_judged"
    assert f"an object of {name}" in content.why


def test_a_program_in_a_librarys_bytes_is_told(library: Any) -> None:
    packed = {"handle": bytearray(b"cposix\nsystem\n(S'id'\ntR.")}
    _, reading = judged(pickle.dumps(library("xgboost.core.Booster", packed)))
    assert "posix.system" in {call["name"] for call in reading.callables}


@pytest.mark.parametrize(("name", "text"), [*GOOD_TREES.items(), *BAD_TREES])
def test_a_tree_with_a_child_outside_of_it_is_not_judged(
    name: str, text: str, library: Any
) -> None:
    content, _ = judged(pickle.dumps(library(name, {"handle": text})))
    assert isinstance(content, Content)
    state = "opened" if text in GOOD_TREES.values() else "not_judged"
    assert content.state == state, content.why
    alone, _ = judged(text.encode())
    assert isinstance(alone, Content) is (state == "opened")
