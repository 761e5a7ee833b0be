"""The record tells what was tried, whatever the caller does to whoever reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import rooms

SINKHOLES = pytest.mark.parametrize("sinkhole", [False, True], ids=["plain", "sinkhole"])


@SINKHOLES
def test_arguments_that_cannot_be_read_neither_break_the_room_nor_let_a_call_through(
    room: rooms.Controller, sinkhole: bool
) -> None:
    ran = room.run("liars:pointers", profile={"recording": {"sinkhole": sinkhole}})
    through = {name for name, met in ran.value.items() if not met}
    # A datagram socket that is connected into the sinkhole is connected to nobody.
    allowed = {
        "address of 2 GiB",
        "address of -1",
        "descriptor with garbage above",
        "data without end",
    }
    if room.backend == "native-b":  # whose socket is one end of a pair, and connected to the other
        through -= {"message of nothing"}
    assert through <= (allowed if sinkhole else set()), through
    assert ran.result.complete
    tried = [event.args.get("path") for event in ran.events("execve")]
    assert {"/bin/argv", "/bin/edge", None} == set(tried)
    (edge,) = ran.events("execve", path="/bin/edge")
    assert edge.args["argv"] == ["/bin/vector", "?"]
    long = [event for event in ran.events("openat") if str(event.args["path"]).startswith("/lll")]
    assert [len(event.args["path"]) for event in long] == [4096]
    assert ran.events("openat", path="/abcdefg")


def test_names_that_are_no_text_are_told_as_text(room: rooms.Controller) -> None:
    ran = room.run("liars:names")
    assert set(ran.value.values()) == {"ENOENT", "EACCES"}
    ugly = '/tmp/\\xff\\xfe\n\x1b[31m"\\\\xed\\xa0\\x80'
    paths = [event.args["path"] for event in ran.events("openat")]
    assert any(
        str(path).startswith("/tmp/\\xff\\xfe\n\x1b[31m") and "\\xf0(.txt" in str(path)
        for path in paths
    ), ugly
    (event,) = ran.events("execve")
    assert event.args == {"path": "/bin/\\xff", "argv": ["\\xff", "\\xc3(", ""]}
    assert event.comm == "x)\\xff \n("


def test_a_folder_too_deep_to_name_does_not_break_the_room(room: rooms.Controller) -> None:
    ran = room.run("liars:deep_folder")
    assert ran.value["met"] in ("ENOENT", "EACCES")


@pytest.mark.serial
def test_callers_that_are_killed_in_the_middle_do_not_hold_up_the_room(
    room: rooms.Controller,
) -> None:
    ran = room.run("liars:vanish", {"seconds": 0.3})
    assert ran.value["killed"] > (
        1 if room.backend == "gvisor" else 10
    )  # where a fork takes longer
    assert ran.took_s < 10  # before the time limit


def test_a_hail_of_signals_does_not_falsify_what_a_call_returns(room: rooms.Controller) -> None:
    assert room.run("liars:interrupted").value == {"met": ["ENOENT"]}


@SINKHOLES
def test_arguments_that_change_while_they_are_read_let_no_call_through(
    room: rooms.Controller, sinkhole: bool
) -> None:
    ran = room.run("liars:race", {"seconds": 0.3}, profile={"recording": {"sinkhole": sinkhole}})
    met = ran.value["met"]
    assert [each for each in met if each.startswith("execve")] == ["execve EACCES"]
    if not sinkhole:
        assert [each for each in met if each.startswith("connect")] == ["connect ECONNREFUSED"]
        # Its destination lies in memory: there the network namespace holds, which leads nowhere; or
        # the socket, which is one end of a pair and takes no destination.
        assert "sendmsg " not in met or room.backend == "native-b"


@pytest.mark.serial
def test_a_socket_that_is_swapped_while_it_is_connected_does_not_break_the_room(
    room: rooms.Controller,
) -> None:
    ran = room.run("liars:closing", {"seconds": 0.3})
    assert ran.value == {}
    assert ran.took_s < 10  # before the time limit


def test_every_refused_call_of_short_lived_grandchildren_is_recorded_with_its_arguments(
    room: rooms.Controller,
) -> None:
    ran = room.run("liars:reuse", {"count": 50})
    tried = [(event.args["path"], event.args["argv"]) for event in ran.events("execve")]
    assert tried == [(f"/bin/grandchild-{index}", [str(index)]) for index in range(50)]
    assert ran.result.syscalls["execve"] == (0, 50)


def test_a_call_of_a_thread_is_recorded(room: rooms.Controller) -> None:
    assert room.run("liars:threads").events("execve", path="/bin/by-thread")


def test_events_carry_who_made_them_and_when(room: rooms.Controller) -> None:
    ran = room.run("liars:reuse", {"count": 2})
    assert ran.result.sealed is not None
    times = [event.t for event in ran.events("execve")]
    assert times == sorted(times)
    assert all(ran.result.sealed <= time <= ran.result.sealed + ran.took_s for time in times)
    pids = {event.pid for event in ran.events("execve")}
    assert len(pids) == 2
    assert all(event.ppid not in (0, event.pid) for event in ran.events("execve"))
    assert {event.stage for event in ran.result.events} == {"conformance"}


def test_nobody_speaks_in_the_supervisors_name(room: rooms.Controller) -> None:
    ran = room.run("liars:in_the_supervisors_name")
    assert "forged" not in [wall.name for wall in ran.result.walls]
    if ran.result.status == "ok":
        assert ran.value["spoke"] == 0
    else:  # gVisor lets it write there
        assert ran.result.status == "broken"
        assert "did not come from the supervisor" in ran.result.reason
