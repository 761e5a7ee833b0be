"""Arguments of a hostile process become text within bounds; nothing that it does raises here.

The memory that is read is real: this process's own, through the same file of /proc.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safe_load.sandbox.kernel.seccomp import Memory
from safe_load.sandbox.room.monitor import decode, dns, wire
from safe_load.sandbox.room.monitor.caller import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOWHERE = 0xDEAD0000
registers = st.one_of(
    st.integers(0, (1 << 64) - 1), st.integers(0, 4096), st.sampled_from([0, NOWHERE, 1 << 63])
)


@pytest.fixture(scope="module")
def me() -> Iterator[Caller]:
    memory = Memory("/proc", os.getpid())
    yield Caller("/proc", os.getpid(), memory)
    memory.close()


def address_of(data: bytes, kept: list[Any]) -> int:
    buffer = ctypes.create_string_buffer(data, len(data))
    kept.append(buffer)
    return ctypes.addressof(buffer)


def travels(value: object) -> object:
    """The value as the controller gets it: written by json, read by msgspec."""
    return msgspec.json.decode(json.dumps(value).encode())


SOCKADDRS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "IPv4": (
        struct.pack("=H", socket.AF_INET) + struct.pack(">H", 443) + bytes([192, 0, 2, 1]) + bytes(8),
        {"family": "AF_INET", "port": 443, "address": "192.0.2.1"},
    ),
    "IPv6": (
        struct.pack("=H", socket.AF_INET6)
        + struct.pack(">HI", 53, 0)
        + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
        + bytes(4),
        {"family": "AF_INET6", "port": 53, "address": "2001:db8::1"},
    ),
    "IPv4 in IPv6": (
        struct.pack("=H", socket.AF_INET6)
        + struct.pack(">HI", 80, 0)
        + socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1")
        + bytes(4),
        {"family": "AF_INET6", "port": 80, "address": "192.0.2.1"},
    ),
    "a unix path": (
        struct.pack("=H", socket.AF_UNIX) + b"/run/docker.sock\0garbage",
        {"family": "AF_UNIX", "address": "/run/docker.sock"},
    ),
    "an abstract name": (
        struct.pack("=H", socket.AF_UNIX) + b"\0dbus\0\0",
        {"family": "AF_UNIX", "address": "@dbus"},
    ),
    "an unnamed unix socket": (struct.pack("=H", socket.AF_UNIX), {"family": "AF_UNIX", "address": ""}),
    "netlink": (
        struct.pack("=HHII", socket.AF_NETLINK, 0, 7, 1),
        {"family": "AF_NETLINK", "raw": "00000700000001000000"},
    ),
    "vsock": (
        struct.pack("=HHIII", socket.AF_VSOCK, 0, 22, 2, 0),
        {"family": "AF_VSOCK", "raw": "0000160000000200000000000000"},
    ),
    "a family that nobody knows": (struct.pack("=HI", 999, 1), {"family": "999", "raw": "01000000"}),
    "IPv4 cut short": (struct.pack("=HH", socket.AF_INET, 1), {"family": "AF_INET", "raw": "0100"}),
    "IPv6 cut short": (struct.pack("=H", socket.AF_INET6) + bytes(6), {"family": "AF_INET6", "raw": "00" * 6}),
    "one byte": (b"\2", {"family": "?"}),
    "nothing": (b"", {"family": "?"}),
}  # fmt: skip


@pytest.mark.parametrize("name", SOCKADDRS)
def test_an_address_of_any_family_is_told(name: str) -> None:
    raw, expected = SOCKADDRS[name]
    assert decode.sockaddr(raw) == expected


@given(st.binary(max_size=200))
def test_no_bytes_of_an_address_raise(raw: bytes) -> None:
    found = decode.sockaddr(raw)
    assert travels(found) == found
    assert len(json.dumps(found)) < 2000


@given(st.sampled_from(sorted(decode.DECODERS)), st.lists(registers, min_size=6, max_size=6))
def test_no_registers_of_any_call_raise(me: Caller, name: str, args: list[int]) -> None:
    found = decode.arguments(name, me, tuple(args))
    assert travels(found) == found


@given(
    st.sampled_from(sorted(decode.DECODERS)),
    st.lists(st.one_of(registers, st.binary(min_size=1, max_size=300)), min_size=6, max_size=6),
)
def test_no_memory_that_a_call_points_to_raises(
    me: Caller, name: str, args: list[int | bytes]
) -> None:
    kept: list[Any] = []
    pointed = tuple(address_of(arg, kept) if isinstance(arg, bytes) else arg for arg in args)
    found = decode.arguments(name, me, pointed)
    assert travels(found) == found
    assert len(json.dumps(found)) < 100_000


@given(st.lists(registers, min_size=6, max_size=6))
def test_a_call_without_a_decoder_is_told_in_hexadecimal(me: Caller, args: list[int]) -> None:
    assert decode.arguments("no_such_call", me, tuple(args)) == {
        f"arg{n}": hex(args[n]) for n in range(3)
    }


def test_a_path_is_told_absolute_from_the_callers_folder(
    me: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kept: list[Any] = []
    relative = address_of(b"../x//y/./z\0", kept)
    expected = str(tmp_path.resolve().parent / "x/y/z")
    assert decode.arguments("open", me, (relative, 0, 0, 0, 0, 0))["path"] == expected
    at_cwd = (-100) & 0xFFFFFFFF | 0xBAD << 32  # an int in the lower half, garbage above
    assert decode.arguments("openat", me, (at_cwd, relative, 0, 0, 0, 0))["path"] == expected
    folder = os.open("/usr/lib", os.O_RDONLY)
    try:
        found = decode.arguments("openat", me, (folder, relative, 0, 0, 0, 0))
    finally:
        os.close(folder)
    assert found["path"] == "/usr/x/y/z"


def test_a_folder_whose_name_is_no_text_is_told_as_text(
    me: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.fsencode(tmp_path) + b"/\xff\xed\xa0\x80"
    os.mkdir(folder)  # noqa: PTH102 - its name is bytes
    monkeypatch.chdir(os.fsdecode(folder))
    kept: list[Any] = []
    found = decode.arguments("open", me, (address_of(b"x\xff\0", kept), 0, 0, 0, 0, 0))
    assert found["path"].endswith("/\\xff\\xed\\xa0\\x80/x\\xff")
    assert travels(found) == found


def test_a_path_is_cut_at_the_length_of_the_longest(me: Caller) -> None:
    kept: list[Any] = []
    long = address_of(b"/" + b"a" * (1 << 20), kept)
    assert len(decode.arguments("unlink", me, (long, 0, 0, 0, 0, 0))["path"]) == decode.PATH_LIMIT


def test_an_argv_is_told_within_bounds(me: Caller) -> None:
    kept: list[Any] = []
    word = address_of(b"w" * 100_000 + b"\0", kept)
    short = address_of(b"-c\0", kept)
    many = address_of(struct.pack("=Q", short) * 10_000, kept)
    assert len(decode.arguments("execve", me, (short, many, 0, 0, 0, 0))["argv"]) <= 65
    fat = address_of(struct.pack("=Q", word) * 64, kept)
    argv = decode.arguments("execve", me, (short, fat, 0, 0, 0, 0))["argv"]
    assert sum(map(len, argv)) < 16_384
    broken = address_of(struct.pack("=3Q", short, NOWHERE, 0), kept)
    assert decode.arguments("execve", me, (short, broken, 0, 0, 0, 0))["argv"] == ["-c", "?"]


def test_of_many_messages_the_first_with_a_destination_is_told(me: Caller) -> None:
    kept: list[Any] = []
    name = address_of(SOCKADDRS["IPv4"][0], kept)
    empty, full = bytes(64), struct.pack("=QIxxxx", name, 16) + bytes(48)
    array = address_of(empty * 3 + full, kept)
    found = decode.arguments("sendmmsg", me, (3, array, 4, 0, 0, 0))["message"]
    assert found["address"] == SOCKADDRS["IPv4"][1]
    assert found["place"] == 3
    assert "address" not in decode.arguments("sendmmsg", me, (3, array, 3, 0, 0, 0))["message"]


@pytest.mark.parametrize(
    ("flags", "recorded"),
    [
        (0, "O_RDONLY"),
        (os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "O_WRONLY|O_CREAT|O_TRUNC"),
        (os.O_RDWR | 0xBAD << 32, "O_RDWR"),
        (os.O_PATH | os.O_NOFOLLOW, "O_RDONLY|O_NOFOLLOW|O_PATH"),
    ],
)
def test_open_flags_are_named(me: Caller, flags: int, recorded: str) -> None:
    assert decode.open_flags(me, (flags,), 0) == recorded


def test_memory_that_is_not_there_reads_as_nothing() -> None:
    memory = Memory("/proc", os.getpid())
    try:
        for address in (0, 1, NOWHERE, 1 << 63, (1 << 64) - 1, -1):
            assert memory.read(address, 16) == b""
            assert memory.string(address) is None
    finally:
        memory.close()


@given(st.binary(max_size=600))
def test_no_bytes_of_a_look_up_raise(query: bytes) -> None:
    found = dns.answer(query, dns.Names())
    assert found is None or (len(found[0]) <= 1024 and travels(found[:2]) == list(found[:2]))


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_of_a_greeting_raise(data: bytes, hello: bool) -> None:
    if hello:
        data = b"\x16\x03\x01\x00\xff\x01" + data
    name = wire.server_name(data)
    assert name is None or travels(name) == name
