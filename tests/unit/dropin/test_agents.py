"""The pickles in an agent's `data` are opened in the sandbox, all at once, and never here."""

from __future__ import annotations

import base64
import collections
import datetime as dt
import json
import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safe_load.core.errors import NotLoadable
from safe_load.dropin import agents
from safe_load.dropin.pretrained import Scope
from safe_load.dropin.unmodelled import StandInWarning
from safe_load.export import structure, structure_cost

from tests.unit.dropin.alike import assert_alike
from tests.unit.dropin.making import taken_apart

_SHARED = ["x", "y"]
_VALUES: dict[str, Any] = {
    "twice": {"a": _SHARED, "b": _SHARED},
    "buffer": collections.deque([{"r": 1.5}, _SHARED], maxlen=4),
    "_last_obs": np.arange(5.0),
    "_last_original_obs": np.arange(5.0),
    "day": dt.date(2020, 1, 1),
    "text": "text",
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_joined_pickles_hold_what_each_of_them_holds(protocol: int) -> None:
    joined = agents._joined([pickle.dumps(value, protocol) for value in _VALUES.values()])
    got = pickle.loads(joined)
    assert_alike(tuple(_VALUES.values()), got)
    assert got[0]["a"] is got[0]["b"]


@pytest.mark.parametrize("data", [b"", b"no pickle", pickle.dumps([1, 2])[:-1]])
def test_a_damaged_pickle_is_refused(data: bytes) -> None:
    with pytest.raises(NotLoadable):
        agents._joined([data])


def _json_to_data(folder: Path, data: dict[str, Any], **custom: Any) -> tuple[Any, int]:
    """What the patched function gives, and how many files were opened for it."""
    opened = []

    def clear(path: str, **_: Any) -> Path:
        opened.append(path)
        told = taken_apart(Path(path), folder)
        assert told["status"] == "ok", told["reason"]
        nodes = msgspec.json.decode(msgspec.json.encode(told["structure"]))
        typed = msgspec.convert(nodes, structure.Structure, strict=True)
        (folder / structure.NAME).write_bytes(structure_cost.encode(typed))
        return folder

    def original(*_: Any) -> Any:
        raise AssertionError("the library unpickled by itself")

    scope = Scope(clear)
    function = agents._json_to_data(original, lambda: scope)
    return function(json.dumps(data), custom or None), len(opened)


def _kept(value: Any) -> dict[str, str]:
    return {":type:": "x", ":serialized:": base64.b64encode(pickle.dumps(value)).decode()}


def test_values_are_made_again_from_one_file_in_the_sandbox(tmp_path: Path) -> None:
    data = {"gamma": 0.99, **{key: _kept(value) for key, value in _VALUES.items()}, "none": None}
    got, opened = _json_to_data(tmp_path / "cleared", data)
    assert_alike({"gamma": 0.99, **_VALUES, "none": None}, got)
    assert opened == 1


class Schedule:
    """Of the author's: no value that a guard makes."""


def test_what_is_no_value_is_left_out_with_a_warning_unless_it_is_given(tmp_path: Path) -> None:
    data = {"lr_schedule": _kept(Schedule()), "policy_class": _kept(Schedule), "n": _kept({3})}
    with pytest.warns(StandInWarning, match="is left out") as warned:
        got, _ = _json_to_data(tmp_path / "one", data)
    assert got == {"n": {3}}
    assert ["lr_schedule" in str(w.message) for w in warned] == [True, False]
    given: dict[str, Any] = {"lr_schedule": abs, "policy_class": Schedule}
    got, _ = _json_to_data(tmp_path / "two", data, **given)
    assert got == {**given, "n": {3}}


def test_a_pickle_that_takes_the_values_of_another_gives_nothing(tmp_path: Path) -> None:
    data = {"a": _kept("kept"), "b": {":serialized:": base64.b64encode(b"0.").decode()}}
    with pytest.raises(NotLoadable, match="of each other"):
        _json_to_data(tmp_path / "cleared", data)
