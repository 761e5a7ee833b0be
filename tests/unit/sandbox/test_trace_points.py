"""What gVisor's sink sends becomes events, and anything else is refused.

The messages are ones that runsc (release 20221219) sent.
"""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safe_load.sandbox.backends.gvisor import trace_points
from safe_load.sandbox.backends.gvisor.trace_points import BadMessage

NAMES = {2: "open", 41: "socket", 42: "connect", 49: "bind", 59: "execve", 257: "openat"}
START = "08000100000000000a063204635f74351204635f74351a012f22102f7573722f62696e2f707974686f6e33"
PROGRAM = (
    "08000300000000000a1708fef0efd1c0f58ef518100220024a07707974686f6e3312132f7573722f62696e2f707974"
    "686f6e332e31311a102f7573722f62696e2f707974686f6e331a022d631a087072696e74283129"
)
OPEN = (
    "08000700000000000a1d08b7bfefe9c0f58ef5181001200142042f746d704a07707974686f6e331202100218810220"
    "042a042f75737232062e2e2f782f7938c2802040ff03"
)
CONNECT = (
    "08000a00000000000a1708aecb8fcfc0f58ef518100120014a07707974686f6e33182a2004321002000050c0000201"
    "0000000000000000"
)
EXECVE = (
    "08000b00000000000a170884a3e8d0c0f58ef518100220024a07707974686f6e33183b32102f7573722f62696e2f70"
    "7974686f6e333a102f7573722f62696e2f707974686f6e333a022d633a087072696e74283129"
)
SOCKET = (
    "08000c00000000000a1708d4ac88cfc0f58ef518100120014a07707974686f6e331202080418292002288180203006"
)
BIND = (
    "08001800000000000a1708cfa58cccc0f58ef518100120014a07707974686f6e331200183120033210020015b37f00"
    "00010000000000000000"
)
EVENTS = {
    PROGRAM: (
        2,
        "execve",
        {"path": "/usr/bin/python3.11", "argv": ["/usr/bin/python3", "-c", "print(1)"]},
    ),
    OPEN: (1, "openat", {"path": "/x/y", "flags": "O_RDWR|O_CREAT"}),
    CONNECT: (
        1,
        "connect",
        {"fd": 4, "to": {"family": "AF_INET", "port": 80, "address": "192.0.2.1"}},
    ),
    EXECVE: (
        2,
        "execve",
        {"path": "/usr/bin/python3", "argv": ["/usr/bin/python3", "-c", "print(1)"]},
    ),
    SOCKET: (1, "socket", {"family": "AF_INET", "type": "SOCK_STREAM", "protocol": 6}),
    BIND: (
        1,
        "bind",
        {"fd": 3, "address": {"family": "AF_INET", "port": 5555, "address": "127.0.0.1"}},
    ),
}


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def raw(kind: int, *fields: tuple[int, int | bytes], dropped: int = 0) -> bytes:
    """A message with these fields."""
    body = b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )
    return b"\x08\x00" + kind.to_bytes(2, "little") + dropped.to_bytes(4, "little") + body


@pytest.mark.parametrize("message", EVENTS, ids=[name for _, name, _ in EVENTS.values()])
def test_each_kind_of_message_tells_its_call_with_its_arguments(message: str) -> None:
    point = trace_points.read(bytes.fromhex(message))
    group, name, args = EVENTS[message]
    event = trace_points.event(point, NAMES, "detonate")
    assert (point.group, event.syscall, event.args) == (group, name, args)
    assert (event.stage, event.pid, event.comm) == ("detonate", group, "python3")


def test_an_error_is_told_by_its_name() -> None:
    assert trace_points.event(trace_points.read(bytes.fromhex(OPEN)), NAMES, "").errno == "ENOENT"


def test_the_start_of_a_container_tells_which() -> None:
    assert trace_points.read(bytes.fromhex(START)).container == "c_t5"
    assert trace_points.read(bytes.fromhex(OPEN)).container == ""


def test_a_call_without_decoded_arguments_shows_its_registers() -> None:
    point = trace_points.read(raw(6, (4, 165), (5, 1), (6, (1 << 64) - 1), dropped=3))
    assert (point.number, point.dropped) == (165, 3)
    event = trace_points.event(point, {165: "mount"}, "")
    assert event.syscall == "mount"
    assert event.args == {"arg0": "0x1", "arg1": "0xffffffffffffffff", "arg2": "0x0"}


def test_what_a_message_holds_is_bounded() -> None:
    words = [(7, b"x" * 3000)] * 500
    event = trace_points.event(
        trace_points.read(raw(11, (3, 59), (6, b"/" * 9000), *words)), NAMES, ""
    )
    assert len(event.args["path"]) <= 4096
    assert len("".join(event.args["argv"])) <= 4096 + 3


@pytest.mark.parametrize("message", [*EVENTS, START])
def test_a_message_that_is_cut_anywhere_is_refused_or_reads_shorter(message: str) -> None:
    whole = bytes.fromhex(message)
    for end in range(len(whole)):
        try:
            trace_points.event(trace_points.read(whole[:end]), NAMES, "")
        except BadMessage:
            continue


@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda kind, body: raw(kind) + body, st.integers(0, 40), st.binary(max_size=200)),
        st.builds(
            lambda message, at, byte: message[:at] + bytes([byte]) + message[at + 1 :],
            st.sampled_from([bytes.fromhex(message) for message in EVENTS]),
            st.integers(8, 80),
            st.integers(0, 255),
        ),
    )
)
def test_whatever_comes_is_an_event_that_can_be_written_down_or_a_bad_message(data: bytes) -> None:
    try:
        event = trace_points.event(trace_points.read(data), NAMES, "")
    except BadMessage:
        return
    msgspec.json.encode(event)
    json.dumps(event.args)
