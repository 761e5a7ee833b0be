"""Files of skops: the names of their arrays, and what their objects run or may call."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from safe_load import profiles
from safe_load.worker.formats import registry
from safe_load.worker.formats.interface import Content, File, Reading
from safe_load.worker.pickle_vm.callables import Allowlist
from safe_load.worker.spans import MemorySource, Span

from tests.unit.worker.formats.test_data import judged
from tests.unit.worker.formats.test_opened import written, zipped


def skops(schema: dict[str, Any], **arrays: Any) -> bytes:
    members = {
        f"{name}.npy": written(lambda file, a=a: np.save(file, a)) for name, a in arrays.items()
    }  # type: ignore[misc]
    return zipped(**members, **{"schema.json": json.dumps(schema).encode()})


def node(loader: str, **parts: Any) -> dict[str, Any]:
    return {"__class__": "x", "__module__": "sklearn.x", "__loader__": loader, **parts}


def test_arrays_of_skops_bear_the_names_that_the_object_has_for_them() -> None:
    array = node("NdArrayNode", type="numpy", file="1.npy")
    step = node("TupleNode", content=[node("JsonNode", content='"a"'), node("ObjectNode", content=node(
        "DictNode", content={"coef_": array, "again_": array}, key_types=node("ListNode", content=[])))])  # fmt: skip
    root = node("ObjectNode", content=node("DictNode", content={
        "steps": node("ListNode", content=[step]),
        "classes_": node("NdArrayNode", type="numpy", file="2.npy")}))  # fmt: skip
    content, _ = judged(skops(root, **{"1": np.ones((1, 4)), "2": np.arange(2), "3": np.zeros(3)}))
    assert isinstance(content, Content)
    assert content.plan is not None
    assert {entry.name for entry in content.plan.entries} == {"steps.0.1.coef_", "classes_"}


def said(text: str) -> dict[str, Any]:
    return node("JsonNode", content=json.dumps(text))


def held(module: str, function: str) -> dict[str, Any]:
    return node("FunctionNode", content={"module_path": module, "function": function})


TEMPLATE = "import os\nos.system('id')\ndef _parse_args(self): pass\n"
PAIR = node("TupleNode", content=[said("_parse_arg_template"), said(TEMPLATE)])


@pytest.mark.parametrize(
    "content",
    [
        node("DictNode", content={"_parse_arg_template": said(TEMPLATE)}),
        node("DictNode", content={"restore_design_info": node("JsonNode", content="true")}),
        node("TupleNode", content=[PAIR]),
        node("DictNode", content={"func": held("sympy", "sympify")}),
        node("DictNode", content={"steps": node("ListNode", content=[held("x.y", "f")])}),
    ],
)
def test_what_an_object_of_skops_runs_or_may_call_is_told(content: dict[str, Any]) -> None:
    _, reading = judged(skops(node("ObjectNode", content=content)))
    assert [entry["use"] for entry in reading.callables if entry["opcode"] == "__loader__"]


def test_functions_that_honest_objects_hold_are_ordinary_in_skops_too() -> None:
    content = node("DictNode", content={"func": held("numpy", "log1p"), "_parse": said("x")})
    data = skops(node("ObjectNode", content=content))
    reading = Reading(Allowlist(profiles.ordinary_callables()), 1 << 30, registry.judge)
    registry.judge(File("model.skops", Span(MemorySource(data), 0, len(data))), reading)
    assert [entry for entry in reading.callables if entry["opcode"] == "__loader__"] == []
