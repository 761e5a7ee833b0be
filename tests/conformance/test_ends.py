"""However a worker ends, the room says so truthfully."""

from __future__ import annotations

import signal

import pytest
import rooms


def test_a_job_that_ends_well_is_ok_and_its_value_comes_back(room: rooms.Controller) -> None:
    ran = room.run("endings:well", {"say": "grüß dich"})
    assert ran.value == {"said": "grüß dich"}
    assert ran.result.complete
    assert ran.result.dropped == 0


def test_a_worker_that_leaves_early_with_a_good_status_is_crashed(room: rooms.Controller) -> None:
    result = room.run("endings:early").result
    assert (result.status, result.value) == ("crashed", None)


def test_a_worker_that_raises_is_crashed_and_says_what_it_raised(room: rooms.Controller) -> None:
    result = room.run("endings:raising").result
    assert (result.status, result.value) == ("crashed", None)
    assert "ValueError: the model is made of cheese" in result.reason


def test_a_payload_that_raises_system_exit_is_crashed(room: rooms.Controller) -> None:
    assert room.run("endings:leaving").result.status == "crashed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_worker_killed_by_a_signal_is_crashed(
    room: rooms.Controller, number: signal.Signals
) -> None:
    result = room.run("endings:killed", {"signal": int(number)}).result
    assert (result.status, result.value) == ("crashed", None)
    assert number.name in result.reason


def test_a_payload_that_waits_for_the_interpreters_exit_is_recorded(room: rooms.Controller) -> None:
    ran = room.run("endings:late")
    (event,) = ran.events("execve")
    assert (event.args["argv"], event.decision) == (["late-payload", "--steal"], "denied")


def test_a_double_forked_daemon_is_recorded_and_does_not_outlive_the_room(
    room: rooms.Controller,
) -> None:
    ran = room.run("endings:daemon")
    (event,) = ran.events("execve")
    assert (event.args["path"], event.decision) == ("/bin/daemon-payload", "denied")
    assert ran.took_s < 10  # before the time limit
    assert rooms.descendants(room.process.pid) == {}
