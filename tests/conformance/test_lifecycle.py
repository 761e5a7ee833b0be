"""A room is used once and leaves nothing behind, whoever dies first."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import rooms

MakeController = Callable[[], rooms.Controller]


def test_after_a_run_no_process_and_no_mount_is_left(room: rooms.Controller) -> None:
    mounts = _mounts("self")
    waits = room.backend == "docker-warm"  # it does, after a run that ended well
    for program in ("well", "raising"):
        room.run(f"endings:{program}")
        left = ["zygote"] if waits and program == "well" else []
        assert list(rooms.descendants(room.process.pid).values()) == left
    assert _mounts("self") == mounts
    assert _mounts(str(room.process.pid)) == mounts
    if room.backend in rooms.IN_CONTAINERS:
        assert rooms.containers.of(room.process.pid) == []


def _mounts(process: str) -> list[str]:
    """What is mounted, but for any engine's: other containers than ours come and go."""
    lines = Path(f"/proc/{process}/mounts").read_text().splitlines()
    engines = ("/docker/", "overlay", "shm ", "nsfs ")
    return [line for line in lines if not any(word in line for word in engines)]


def test_runs_leave_no_descriptor_open_in_the_controller(room: rooms.Controller) -> None:
    room.run("endings:well")
    before = len(list(Path(f"/proc/{room.process.pid}/fd").iterdir()))
    for _ in range(3):
        room.run("endings:raising")
    after = len(list(Path(f"/proc/{room.process.pid}/fd").iterdir()))
    assert after <= before if room.backend == "docker-warm" else after == before


@pytest.mark.parametrize("after", [0.0, 0.03, 0.06, 0.1, 0.3])
def test_a_controller_that_is_killed_leaves_no_process(
    own_controller: MakeController, after: float
) -> None:
    controller = own_controller()
    controller.start("endings:daemon", {"wait": True})
    below: set[int] = set()
    deadline = time.monotonic() + after
    while not below or time.monotonic() < deadline:
        below |= set(rooms.descendants(controller.process.pid))
        assert time.monotonic() < deadline + 10
    controller.process.send_signal(signal.SIGKILL)
    # What is started between the look and the kill has one of these as its parent.
    below |= {child for pid in below for child in rooms.descendants(pid)}
    rooms.wait_until_dead(below, seconds=3)


@pytest.mark.parametrize("hangs", [False, True], ids=["obeys", "hangs"])
def test_a_room_can_be_stopped_and_is_interrupted_then(room: rooms.Controller, hangs: bool) -> None:
    room.start("endings:daemon", {"wait": True}, stop_after="told")
    rooms.sealed_worker(room)
    below = rooms.descendants(room.process.pid)
    if hangs:
        (supervisor,) = (pid for pid, name in below.items() if name == "supervisor")
        os.kill(supervisor, signal.SIGSTOP)
    room.stop()
    assert room.has_answered(10), "long before the time limit"
    ran = room.answer()
    assert (ran.result.status, ran.result.value) == ("interrupted", None)
    assert not rooms.alive(set(below))


@pytest.mark.parametrize("after", [0.02, 0.04, 0.06])
def test_a_room_can_be_stopped_while_it_is_built(room: rooms.Controller, after: float) -> None:
    ran = room.run("endings:sleeping", {"seconds": 1}, stop_after=after)
    assert (ran.result.status, ran.result.value) == ("interrupted", None) or ran.took_s > 1
    assert rooms.descendants(room.process.pid) == {}


def test_a_supervisor_that_is_killed_ends_everything_and_is_never_ok(
    room: rooms.Controller,
) -> None:
    room.start("endings:daemon", {"wait": True})
    below = rooms.wait_for(room.process.pid, "supervisor", "worker")
    (supervisor,) = (pid for pid, name in below.items() if name == "supervisor")
    os.kill(supervisor, signal.SIGKILL)
    ran = room.answer()
    assert (ran.result.status, ran.result.value) == ("broken", None)
    assert ran.took_s < 10  # before the time limit
    assert not rooms.alive(set(below))


def test_a_supervisor_that_hangs_is_not_waited_for_for_ever(room: rooms.Controller) -> None:
    # The patience counts from the start of the room, which takes a busy machine its time.
    room.start("endings:sleeping", limits={"timeout": 1.0}, options={"patience_s": 3.0})
    below = rooms.wait_for(room.process.pid, "supervisor", "worker")
    (supervisor,) = (pid for pid, name in below.items() if name == "supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    ran = room.answer()
    assert (ran.result.status, ran.result.value) == ("broken", None)
    assert "time limit" in ran.result.reason
    assert ran.took_s < 30
    assert not rooms.alive(set(below))


def test_a_worker_that_is_stopped_from_outside_meets_the_time_limit(room: rooms.Controller) -> None:
    room.start("endings:sleeping", {"seconds": 1.5}, limits={"timeout": 2.0})
    os.kill(rooms.sealed_worker(room), signal.SIGSTOP)
    assert room.answer().result.status == "limit"


def test_two_rooms_at_once_do_not_know_of_each_other(own_controller: MakeController) -> None:
    first, second = own_controller(), own_controller()
    first.start("endings:sleeping", {"seconds": 0.3})
    second.start("endings:well", {"say": "hello"})
    assert second.answer().value == {"said": "hello"}
    assert first.answer().value == {}
