"""Programs that lie to whoever reads their system calls."""

# ruff: noqa: PTH102, PTH106
from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import raw

if TYPE_CHECKING:
    from collections.abc import Sequence

NOWHERE = 0xDEAD0000


def _pages(count: int) -> int:
    """The address of `count` pages, followed by one that is not mapped."""
    raw.LIBC.mmap.restype = ctypes.c_void_p
    address = raw.LIBC.mmap(
        None, ctypes.c_size_t((count + 1) * 4096), 3, 0x22, -1, ctypes.c_long(0)
    )
    raw.LIBC.munmap(ctypes.c_void_p(address + count * 4096), ctypes.c_size_t(4096))
    return int(address)


def pointers(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Calls whose arguments cannot be read, or not to their end."""
    page, other = _pages(1), _pages(1)
    edge = other + 4096 - 8
    ctypes.memmove(edge, b"/abcdefg", 8)  # no NUL before the end of what is mapped
    long = ctypes.create_string_buffer(b"/" + b"l" * (1 << 20))
    ends = ctypes.create_string_buffer(b"/bin/vector")
    ctypes.memmove(page + 4096 - 16, struct.pack("=QQ", ctypes.addressof(ends), NOWHERE), 16)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = struct.pack("=H", socket.AF_INET) + bytes(14)
    huge = (1 << 64) - 1
    calls: dict[str, tuple[Any, ...]] = {
        "path of nowhere": ("openat", -100, NOWHERE, 0),
        "path of null": ("openat", -100, 0, 0),
        "path of the kernel": ("openat", -100, 0xFFFFFFFF81000000, 0),
        "path of the last byte": ("openat", -100, huge, 0),
        "path without end": ("openat", -100, edge, 0),
        "path of a megabyte": ("openat", -100, long, 0),
        "folder of nowhere": ("openat", 12345, b"relative", 0),
        "argv of nowhere": ("execve", b"/bin/argv", NOWHERE, 0),
        "argv to the edge": ("execve", b"/bin/edge", page + 4096 - 16, 0),
        "everything of nowhere": ("execve", NOWHERE, NOWHERE, NOWHERE),
        "address of nowhere": ("connect", sock.fileno(), NOWHERE, 16),
        "address of 2 GiB": ("connect", sock.fileno(), address, 1 << 31),
        "address of -1": ("connect", sock.fileno(), address, huge),
        "address of no bytes": ("connect", sock.fileno(), address, 0),
        "address of one byte": ("connect", sock.fileno(), address, 1),
        "no socket": ("connect", 0, address, 16),
        "no descriptor": ("connect", 12345, address, 16),
        "descriptor with garbage above": ("connect", (7 << 32) | sock.fileno(), address, 16),
        "data of nowhere": ("sendto", sock.fileno(), NOWHERE, 64, 0, address, 16),
        "data without end": ("sendto", sock.fileno(), edge, huge, 0, address, 16),
        "message of nowhere": ("sendmsg", sock.fileno(), NOWHERE, 0),
        "message of nothing": ("sendmsg", sock.fileno(), bytes(56), 0),
        "message to nowhere": (
            "sendmsg",
            sock.fileno(),
            struct.pack("=QIxxxxQQQQixxxx", NOWHERE, 16, NOWHERE, 1 << 40, 0, 0, 0),
            0,
        ),
        "messages of nowhere": ("sendmmsg", sock.fileno(), NOWHERE, 1 << 31, 0),
        "how of nowhere": (437, -100, b"/how", NOWHERE, 24),  # openat2
        "prctl with garbage above": ("prctl", (1 << 32) | 4, 0, 0, 0, 0),
        "unknown call": (1234, NOWHERE, NOWHERE, NOWHERE),
        "negative call": (-1234 & 0x3FFFFFFF, 0, 0, 0),
    }
    return {name: raw.call(*call) for name, call in calls.items()}


def names(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Paths, names and folders in bytes that no text has."""
    ugly = os.fsencode(raw.scratch("")) + b'\xff\xfe\n\x1b[31m"\\\xed\xa0\x80'
    os.mkdir(ugly)
    os.chdir(ugly)
    raw.LIBC.prctl(15, b"x)\xff \n(", 0, 0, 0)  # PR_SET_NAME
    met = {"relative": raw.attempt(lambda: os.open(b"\xf0\x28.txt", os.O_RDONLY))}
    met["program"] = raw.attempt(lambda: os.execv(b"/bin/\xff", [b"\xff", b"\xc3\x28", b""]))
    os.rmdir(ugly)
    met["gone folder"] = raw.attempt(lambda: os.open("relative", os.O_RDONLY))
    return met


def deep_folder(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Work in a folder whose path is longer than any path may be."""
    os.chdir(raw.scratch(""))
    for _ in range(60):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
    return {"met": raw.attempt(lambda: os.open("relative", os.O_RDONLY))}


def vanish(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Children that are killed in the middle of recorded calls."""
    deadline = time.monotonic() + argument["seconds"]
    killed = 0
    while time.monotonic() < deadline:
        child = os.fork()
        if child == 0:
            while True:
                raw.attempt(lambda: os.open("/nowhere/vanishing", os.O_RDONLY))
        time.sleep(0.002)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        killed += 1
    return {"killed": killed}


def interrupted(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Recorded calls under a hail of signals. Whether every one still told the truth."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    met = {raw.attempt(lambda: os.open("/nowhere/hail", os.O_RDONLY)) for _ in range(2000)}
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {"met": sorted(met)}


def race(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Change arguments while they are read: a refused call must never get through, nor a room break.

    Returns what the racing calls met."""
    path = ctypes.create_string_buffer(b"/nowhere/racing" + bytes(64))
    address = ctypes.create_string_buffer(
        struct.pack("=HH", socket.AF_INET, 0x1500) + socket.inet_aton("192.0.2.9") + bytes(8)
    )
    header = ctypes.create_string_buffer(56)
    stop = threading.Event()

    def flip() -> None:
        one, two = b"/nowhere/racing\0", b"/etc/passwd\0----"
        while not stop.is_set():
            ctypes.memmove(path, one, 16)
            ctypes.memmove(path, two, 16)
            ctypes.memmove(address, b"\x01\x00", 2)
            ctypes.memmove(address, b"\x0a\x00", 2)
            ctypes.memmove(address, b"\x02\x00", 2)
            ctypes.memmove(header, struct.pack("=QI", ctypes.addressof(address), 16), 12)
            ctypes.memmove(header, bytes(12), 12)

    flippers = [threading.Thread(target=flip) for _ in range(2)]
    for flipper in flippers:
        flipper.start()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    met: set[str] = set()
    deadline = time.monotonic() + argument["seconds"]
    while time.monotonic() < deadline:
        met.add("execve " + raw.call("execve", path, 0, 0))
        met.add("connect " + raw.call("connect", sock.fileno(), address, 16))
        met.add("sendmsg " + raw.call("sendmsg", sock.fileno(), header, 0))
        raw.call("openat", -100, path, 0)
    stop.set()
    for flipper in flippers:
        flipper.join()
    return {"met": sorted(met)}


def closing(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Close and replace the socket while somebody else connects it for us."""
    stop = threading.Event()
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    number = os.dup(sock.fileno())

    def swap() -> None:
        while not stop.is_set():
            raw.attempt(lambda: os.close(number))
            raw.attempt(lambda: os.dup2(0, number))
            raw.attempt(lambda: os.dup2(sock.fileno(), number))

    swapper = threading.Thread(target=swap)
    swapper.start()
    address = struct.pack("=HH", socket.AF_INET, 0x5000) + socket.inet_aton("192.0.2.9") + bytes(8)
    deadline = time.monotonic() + argument["seconds"]
    while time.monotonic() < deadline:
        raw.call("connect", number, address, 16)
    stop.set()
    swapper.join()
    return {}


def reuse(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Grandchildren with few pids to go round, each with a call of its own to be recorded."""
    for index in range(argument["count"]):
        if os.fork() == 0:
            child = os.fork()
            if child == 0:
                raw.attempt(lambda: os.execv(f"/bin/grandchild-{index}", [str(index)]))  # noqa: B023
                os._exit(0)
            os.waitpid(child, 0)
            os._exit(0)
        os.wait()
    return {}


def threads(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """A recorded call from a thread, with a word to find it by."""
    thread = threading.Thread(
        target=lambda: raw.attempt(lambda: os.execv("/bin/by-thread", ["by-thread"]))
    )
    thread.start()
    thread.join()
    return {}


def in_the_supervisors_name(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Say that another wall stands, and that all ended well, on every descriptor of the supervisor's."""
    lines = [
        {"kind": "wall", "name": "forged", "state": "standing"},
        {"kind": "end", "status": "ok"},
    ]
    said = "".join(json.dumps(line) + "\n" for line in lines).encode()
    spoke = 0
    for number in range(16):
        try:
            descriptor = os.open(f"/proc/{os.getppid()}/fd/{number}", os.O_WRONLY | os.O_NONBLOCK)
            spoke += os.write(descriptor, said) > 0
        except OSError:
            continue
    return {"spoke": spoke}
