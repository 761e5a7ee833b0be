"""On WSL2, three doors lead to Windows: its programs, sockets of the machine below (AF_VSOCK), and the
sockets in /run/WSL. test_kernel.py has the programs; here are the others."""

from __future__ import annotations

import os
import socket
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import rooms

_FOLDER = Path("/run/WSL")


@pytest.fixture
def door() -> Iterator[tuple[Path, socket.socket]]:
    """A socket that anybody may connect to, where WSL has its own: its path, and who listens. An
    ordinary user may not make that folder; another stands for it, whose path is short enough (unix(7))."""
    folder = _FOLDER if os.geteuid() == 0 else Path(tempfile.mkdtemp(dir="/tmp"))
    if folder != _FOLDER:
        folder.chmod(0o755)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path = folder / f"{uuid.uuid4().hex}_interop"
    while True:
        with suppress(FileNotFoundError):  # another test has removed the folder meanwhile
            folder.mkdir(exist_ok=True)
            listener.bind(str(path))
            break
    path.chmod(0o777)
    listener.listen()
    listener.setblocking(False)
    try:
        yield path, listener
    finally:
        listener.close()
        path.unlink()
        with suppress(OSError):  # somebody else's are in it
            folder.rmdir()


@pytest.mark.parametrize("kind", ["SOCK_SEQPACKET", "SOCK_STREAM", "SOCK_DGRAM"])
def test_a_socket_of_windows_is_not_reached_and_the_attempt_is_recorded(
    room: rooms.Controller, door: tuple[Path, socket.socket], kind: str
) -> None:
    path, listener = door
    target = {"family": "AF_UNIX", "type": kind, "to": str(path)}
    ran = room.run("network:connects", {"door": target})
    assert "" not in ran.value["door"].values()
    (event,) = ran.events("connect")
    assert event.decision == "denied"
    assert event.args["to"]["family"] == "AF_UNIX"
    assert event.args["to"]["address"].endswith(str(path))
    with pytest.raises(BlockingIOError):  # nobody has knocked
        listener.accept()


def test_the_folder_of_windows_can_neither_be_listed_nor_opened(
    room: rooms.Controller, door: tuple[Path, socket.socket]
) -> None:
    path, _ = door
    ran = room.run("files:look", {"paths": [str(path.parent), str(path), "/dev/vsock"]})
    assert "" not in [opened for _, opened in ran.value.values()], ran.value


def test_the_machine_below_is_not_reached_and_the_attempt_is_recorded(
    room: rooms.Controller,
) -> None:
    kinds = ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET")
    targets = {kind: {"family": "AF_VSOCK", "type": kind, "to": "raw"} for kind in kinds}
    ran = room.run("network:connects", targets)
    assert ran.value == {key: {"socket": "EAFNOSUPPORT"} for key in kinds}
    events = ran.events("socket", family="AF_VSOCK")
    assert sum(event.count for event in events) == 3
    assert {event.decision for event in events} == {"denied"}
