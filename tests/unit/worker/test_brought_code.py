"""A pickle that brings functions or classes of its own says so once; a call of them is told for itself."""

from __future__ import annotations

import collections
import functools
import os
import pickle
from typing import TYPE_CHECKING, Any

import cloudpickle
import msgspec
import pytest
from safe_load.judge import files
from safe_load.rooms.worker_results import read_extracted

if TYPE_CHECKING:
    from collections.abc import Callable

#: dill 0.4's own functions, by name: dill is not installed here.
_DILL = "dill._dill"


class Call:
    """What a function gives, for pickle."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


def _local() -> dict[str, Any]:
    """Objects that cloudpickle writes by value, since nobody can import them."""

    class Rows(list):  # type: ignore[type-arg]
        def longest(self) -> int:
            return max(map(len, self))

    made = Rows(["a", "bc"])
    step = 3
    return {
        "a function": lambda x: x + 1,
        "a closure": lambda x: os.path.join(str(x), str(step)),
        "a class": Rows,
        "an object": made,
        "a method": made.longest,
        "a factory": collections.defaultdict(lambda: 0, a=1),
        "a partial": functools.partial(lambda x, y: x, 1),
    }


@pytest.fixture
def told(extracted: Callable[..., Any]) -> Callable[[bytes], set[tuple[str, str]]]:
    """The findings that the bytes give, and their severities, without those that are low."""

    def run(data: bytes) -> set[tuple[str, str]]:
        result = extracted(data, export=False)
        read = read_extracted(msgspec.json.decode(msgspec.json.encode({"files": [result]})))
        (file,) = read.files
        found = files._of_file(file, True, frozenset())
        return {(each.id, each.severity) for each in found if each.severity != "low"}

    return run


@pytest.mark.parametrize("kind", _local())
def test_code_that_cloudpickle_writes_is_one_medium_finding(kind: str, told: Any) -> None:
    assert told(cloudpickle.dumps(_local()[kind])) == {("SL502", "medium")}


def test_source_that_a_pickle_carries_is_one_medium_finding(told: Any, name: Any) -> None:
    rebuild = name("torch_utils.persistence._reconstruct_persistent_obj")
    meta = {"type": "class", "version": 6, "module_src": "import os\nos.system('x')\n", "class_name": "G"}  # fmt: skip
    value = {"G_ema": Call(rebuild, meta | {"state": {"w": [1.0]}})}
    assert told(pickle.dumps(value)) == {("SL502", "medium")}
    held = Call(rebuild, meta | {"state": {"hook": os.system}})
    assert ("SL501", "high") in told(pickle.dumps(held))
    assert ("SL501", "high") in told(pickle.dumps(Call(rebuild, "import os")))


def test_code_that_dill_writes_is_one_medium_finding(told: Any, name: Any) -> None:
    make, code, cell, load, kind, put = (
        name(f"{_DILL}.{last}")
        for last in ("_create_function", "_create_code", "_create_cell", "_load_type", "_create_type", "_setattr")
    )  # fmt: skip
    function = Call(make, Call(code, 1, b"", (None,)), {}, "f", None, (Call(cell, 3),))
    assert told(pickle.dumps(function)) == {("SL502", "medium")}
    cls = Call(kind, Call(load, "type"), "Rows", (Call(load, "list"),), {"f": function})
    named = Call(setattr, cls, "__qualname__", "Rows")
    assert told(pickle.dumps([cls, named])) == {("SL502", "medium")}
    assert ("SL501", "high") in told(pickle.dumps(Call(setattr, put, "x", 1)))
    assert ("SL501", "high") in told(pickle.dumps(Call(kind, os.system, "Rows", (), {})))


def _called() -> dict[str, object]:
    function = (lambda x: x,)[0]
    real: Any = cloudpickle.cloudpickle
    return {
        "a call of a function": ("call", function),
        "a call of a module's function": Call(getattr, Call(real.subimport, "os"), "system"),
        "a class of another metaclass": Call(
            real._make_skeleton_class, os.system, "id", (), {}, None, None
        ),
        "a type that is called": ("type", "FunctionType"),
    }


def _stream(what: object) -> bytes:
    """A call of what a pickle made, which pickle itself writes for no object."""
    if not isinstance(what, tuple):
        return pickle.dumps(what)
    kind, value = what
    made = (
        cloudpickle.dumps(value, 4)
        if kind == "call"
        else pickle.dumps(Call(cloudpickle.cloudpickle._builtin_type, value), 4)
    )
    return bytes(made[:-1]) + b"K\x01\x85R."


@pytest.mark.parametrize("kind", _called())
def test_a_call_of_code_that_a_pickle_brings_is_high(kind: str, told: Any) -> None:
    assert ("SL501", "high") in told(_stream(_called()[kind]))


def test_attributes_of_a_module_that_a_pickle_imports_are_high(told: Any) -> None:
    imported = pickle.dumps(Call(cloudpickle.cloudpickle.subimport, "torch"), 4)
    state = b"}\x8c\x04loadK\x01sb."
    assert ("SL501", "high") in told(imported[:-1] + state)
