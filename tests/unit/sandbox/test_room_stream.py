"""What the controller makes of a room's pipes: the first cause stands, and nothing is believed early."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_load import profiles
from safe_load.sandbox.backends import room_stream
from safe_load.sandbox.backends.interface import Backend, RoomResult

STRICT = profiles.load("strict")
WALLS = [{"kind": "wall", "name": name, "state": "standing"} for name in STRICT.walls]
OK = {"kind": "end", "status": "ok", "reason": ""}
VALUE = b'{"kind": "returned", "value": {"a": 1}}'
EVENT = {
    "kind": "event",
    "t": 1.0,
    "stage": "load",
    "pid": 2,
    "ppid": 1,
    "comm": "worker",
    "syscall": "openat",
    "args": {},
    "decision": "allowed",
}


def conclude(
    *lines: dict[str, Any] | bytes, result: bytes = VALUE, patience_s: float = 5.0
) -> RoomResult:
    """What a room is judged to be that says these lines and this result."""
    transcript = room_stream.Transcript()
    with room_stream.opened() as pipes:
        events, said = os.dup(pipes.far["events"]), os.dup(pipes.far["result"])

        def speak() -> None:
            try:
                for line in lines:
                    os.write(
                        events,
                        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n",
                    )
                os.write(said, result)
            except BrokenPipeError:
                pass
            os.close(said)
            os.close(events)

        speaker = threading.Thread(target=speak)
        speaker.start()
        pipes.close_far_ends()
        room_stream.listen(pipes, transcript, STRICT, patience_s)
    speaker.join()
    return room_stream.conclude(transcript, STRICT, "A", time.monotonic())


def test_a_room_with_every_wall_and_a_good_end_is_ok() -> None:
    result = conclude(*WALLS, OK)
    assert (result.status, result.reason, result.value) == ("ok", "", {"a": 1})


NOT_OK: dict[str, tuple[list[dict[str, Any] | bytes], str]] = {
    "nothing": ([], "broken"),
    "no end": ([*WALLS], "broken"),
    "no walls": ([OK], "broken"),
    "one wall less": ([*WALLS[1:], OK], "broken"),
    "a wall that is missing": ([*WALLS[1:], {**WALLS[0], "state": "missing"}, OK], "broken"),
    "a wall that is weaker": ([*WALLS[1:], {**WALLS[0], "state": "weaker"}, OK], "broken"),
    "no JSON": ([*WALLS, b"hello", OK], "broken"),
    "a list": ([*WALLS, b"[]", OK], "broken"),
    "a wrong type": ([*WALLS, {**EVENT, "pid": "two"}, OK], "broken"),
    "a truth for a number": ([*WALLS, {**EVENT, "pid": True}, OK], "broken"),
    "a decision that is none": ([*WALLS, {**EVENT, "decision": "perhaps"}, OK], "broken"),
    "a field too many": ([*WALLS, {**EVENT, "more": 1}, OK], "broken"),
    "a field too few": ([*WALLS, {"kind": "event"}, OK], "broken"),
    "a message of no kind": ([*WALLS, {"t": 1.0}, OK], "broken"),
    "a message of the worker's": ([*WALLS, {"kind": "returned", "value": {}}, OK], "broken"),
    "counts that are no numbers": ([*WALLS, {**OK, "repeated": {"x": 11}}], "broken"),
    "nested deeply": ([*WALLS, b'{"kind":"event","args":' + b'{"a":' * 20_000, OK], "broken"),
    "a status that is none": ([*WALLS, {**OK, "status": "splendid"}], "broken"),
    "an end before a better one": ([*WALLS, {**OK, "status": "limit"}, OK], "limit"),
    "a limit": ([*WALLS, {**OK, "status": "limit", "reason": "time limit"}], "limit"),
    "a stop": ([*WALLS, {**OK, "status": "interrupted"}], "interrupted"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_OK)
def test_anything_less_is_not_ok_and_yields_no_value(name: str) -> None:
    lines, status = NOT_OK[name]
    result = conclude(*lines)
    assert (result.status, result.value) == (status, None)


def test_counts_of_events_that_were_not_told_change_nothing() -> None:
    end = {**OK, "repeated": {"0": 7, "1": 8, "99": 9, "-1": 10}}
    result = conclude(*WALLS, EVENT, end)
    assert [each.count for each in result.events] == [7]


def test_a_room_that_says_nothing_is_not_waited_for_for_ever() -> None:
    transcript = room_stream.Transcript()
    limits = profiles.Limits(**{**_fields(STRICT.limits), "timeout": 0.1})
    quick = profiles.Profile(**{**_fields(STRICT), "limits": limits})
    with room_stream.opened() as pipes:
        began = time.monotonic()
        assert not room_stream.listen(pipes, transcript, quick, 0.1)
        assert 0.15 < time.monotonic() - began < 30
    result = room_stream.conclude(transcript, quick, "A", began)
    assert result.status == "broken"
    assert "time limit" in result.reason


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_no_bytes_of_a_result_raise(result: bytes) -> None:
    assert conclude(*WALLS, OK, result=result).status in ("ok", "crashed")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_of_the_stream_raise_or_count_as_ok(lines: list[bytes]) -> None:
    assert conclude(*lines).status == "broken"


def test_a_backend_that_cannot_run_or_stop_a_room_is_none() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Backend()  # type: ignore[abstract]


def test_what_is_told_of_a_room_cannot_be_changed_afterwards() -> None:
    result = conclude(*WALLS, OK)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.status = "crashed"  # type: ignore[misc]
