"""What a worker says is hostile text: it is read within bounds, or the worker counts as crashed."""

from __future__ import annotations

from typing import Any

import pytest
import rooms

HOSTILE: dict[str, dict[str, Any]] = {
    "nothing": {"head": "", "body": "", "times": 0, "tail": ""},
    "no JSON": {"head": "hello", "body": "", "times": 0, "tail": ""},
    "not closed": {"head": '{"value": {"a": ', "body": "", "times": 0, "tail": ""},
    "nested deeply": {"head": '{"value": ', "body": '{"a":', "times": 500_000, "tail": ""},
    "lists nested deeply": {"head": '{"value": {"a": ', "body": "[", "times": 1_000_000, "tail": ""},
    "NaN": {"head": '{"value": {"a": NaN}}', "body": "", "times": 0, "tail": ""},
    "Infinity": {"head": '{"value": {"a": 1e99999}}', "body": "", "times": 0, "tail": ""},
    "a number of a million digits": {"head": '{"value": {"a": ', "body": "7", "times": 1_000_000, "tail": "}}"},
    "half a surrogate pair": {"head": '{"value": {"a": "\\ud800"}}', "body": "", "times": 0, "tail": ""},
    "a list": {"head": '[{"value": {}}]', "body": "", "times": 0, "tail": ""},
    "a value that is a list": {"head": '{"value": [1]}', "body": "", "times": 0, "tail": ""},
    "two values": {"head": '{"value": {}}{"value": {}}', "body": "", "times": 0, "tail": ""},
    "an exception that is a list": {"head": '{"raised": [1]}', "body": "", "times": 0, "tail": ""},
    "an exception and a bad status": {"head": '{"raised": {"a": 1}}', "body": "", "times": 0, "tail": "", "status": 3},
}  # fmt: skip


# Who reads a result does not depend on who built the room.
ANYWHERE = pytest.mark.parametrize("house", [rooms.ANY], indirect=True)


@ANYWHERE
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_result_is_a_crash(room: rooms.Controller, name: str) -> None:
    ran = room.run("results:say", HOSTILE[name])
    assert (ran.result.status, ran.result.value) == ("crashed", None), ran.result.reason
    assert ran.took_s < 10  # before the time limit


@ANYWHERE
@pytest.mark.parametrize("program", ["deep", "not_json", "no_object", "lying_exception"])
def test_a_result_that_is_none_is_a_crash(room: rooms.Controller, program: str) -> None:
    result = room.run(f"results:{program}").result
    assert (result.status, result.value) == ("crashed", None)


def test_what_a_worker_says_it_raised_is_cut_to_a_length(room: rooms.Controller) -> None:
    argument = {"head": '{"raised": "', "body": "x", "times": 100_000, "tail": '"}', "status": 1}
    result = room.run("results:say", argument).result
    assert result.status == "crashed"
    assert len(result.reason) <= 2000
