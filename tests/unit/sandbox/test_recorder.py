"""The recorder's stream: one line for each different call, bounded, never silent about what it left out."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.sandbox.room.monitor.recorder import Channel, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.sandbox.protocol import Decision


class Transcript:
    """What comes out of the pipe."""

    def __init__(self) -> None:
        self.near, far = os.pipe()
        self.channel = Channel(far)
        self.data = bytearray()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        while data := os.read(self.near, 1 << 16):
            self.data += data

    def lines(self) -> list[dict[str, Any]]:
        os.close(self.channel.descriptor)
        self.channel.descriptor = -1
        self.reader.join()
        return [json.loads(line) for line in self.data.splitlines()]

    def close(self) -> None:
        if self.channel.descriptor >= 0:
            self.lines()
        os.close(self.near)


@pytest.fixture
def transcript() -> Iterator[Transcript]:
    transcript = Transcript()
    yield transcript
    transcript.close()


def tell(
    recorder: Recorder,
    path: str,
    *,
    pid: int = 2,
    syscall: str = "openat",
    decision: Decision = "allowed",
) -> None:
    recorder.count(syscall, decision)
    recorder.tell(
        pid=pid,
        ppid=1,
        comm="worker",
        syscall=syscall,
        args={"path": path},
        decision=decision,
        errno=None,
    )


def test_an_event_is_told_at_once_with_who_what_and_when(transcript: Transcript) -> None:
    tell(Recorder(transcript.channel, "load", 10), "/a")
    (line,) = transcript.lines()
    assert line.pop("t") > 0
    assert line == {
        "kind": "event",
        "stage": "load",
        "pid": 2,
        "ppid": 1,
        "comm": "worker",
        "syscall": "openat",
        "args": {"path": "/a"},
        "decision": "allowed",
        "errno": None,
    }


def test_equal_events_are_told_once_and_counted_at_the_end(transcript: Transcript) -> None:
    recorder = Recorder(transcript.channel, "load", 100)
    for path in ("/a", "/b", "/a", "/a"):
        tell(recorder, path)
    tell(recorder, "/a", pid=3)  # somebody else's is another event
    recorder.end("ok", "")
    *events, end = transcript.lines()
    assert [(event["pid"], event["args"]["path"]) for event in events] == [
        (2, "/a"),
        (2, "/b"),
        (3, "/a"),
    ]
    assert end["repeated"] == {"0": 3}
    assert (end["dropped"], end["complete"]) == (0, True)
    assert end["syscalls"] == {"openat": [5, 0]}


def test_past_the_cap_events_are_counted_as_dropped(transcript: Transcript) -> None:
    recorder = Recorder(transcript.channel, "load", 40)
    for index in range(100):
        tell(recorder, f"/{index}")
    recorder.end("ok", "")
    *events, end = transcript.lines()
    assert 0 < len(events) <= 40
    assert end["dropped"] == 100 - len(events)
    assert not end["complete"]
    assert end["syscalls"] == {"openat": [100, 0]}


@pytest.mark.parametrize(
    ("syscall", "decision"),
    [("execve", "denied"), ("connect", "denied"), ("connect", "redirected"), ("ptrace", "denied")],
)
def test_a_flood_of_allowed_calls_leaves_room_for_what_matters(
    transcript: Transcript, syscall: str, decision: Decision
) -> None:
    recorder = Recorder(transcript.channel, "load", 40)
    for index in range(1000):
        tell(recorder, f"/{index}")
    tell(recorder, "/telling", syscall=syscall, decision=decision)
    recorder.end("ok", "")
    assert any(line.get("args") == {"path": "/telling"} for line in transcript.lines())


def test_events_are_bounded_in_bytes(transcript: Transcript) -> None:
    recorder = Recorder(transcript.channel, "load", 1 << 20)
    for index in range(300):
        tell(recorder, f"{index}" + "\1" * 60_000, syscall="execve", decision="denied")
    assert recorder.dropped > 0
    assert not recorder.complete
    transcript.lines()
    assert len(transcript.data) <= 64 << 20


def test_names_of_calls_are_bounded_in_number(transcript: Transcript) -> None:
    recorder = Recorder(transcript.channel, "load", 10)
    for number in range(5000):
        recorder.count(f"syscall_{number}", "denied")
    recorder.end("ok", "")
    (end,) = transcript.lines()
    assert len(end["syscalls"]) <= 1025
    assert sum(denied for _, denied in end["syscalls"].values()) == 5000


def test_a_wall_is_remembered_only_when_it_stands(transcript: Transcript) -> None:
    transcript.channel.wall("landlock", stands=True, detail="ABI 7")
    transcript.channel.wall("seccomp", stands=False)
    assert transcript.channel.standing == {"landlock"}
    assert [(line["name"], line["state"]) for line in transcript.lines()] == [
        ("landlock", "standing"),
        ("seccomp", "missing"),
    ]
