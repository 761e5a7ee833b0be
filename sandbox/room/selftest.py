"""A job that tries to get out: what `safe-load doctor` runs to see whether the walls hold.

Imported before the room's root is changed, since the sandbox's own code is not shown inside.
"""

from __future__ import annotations

import errno
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:  # noqa: ARG001 - a room's entry
    """{attempt: the errno it met, or "" where it succeeded}. Every one of them must fail."""
    attempts: dict[str, Callable[[], object]] = {
        "run a program": lambda: os.execv("/bin/sh", ["sh", "-c", "true"]),  # noqa: S606 - it must fail
        "leave the room by network": _connect,
        "open a kernel socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "read the host's files": lambda: open(argument["host_file"]),  # noqa: SIM115 - it must not open
        "write to the root": lambda: open("/canary", "w"),  # noqa: SIM115 - it must not open
        "read the process table": lambda: os.listdir("/proc"),
        "signal the supervisor": lambda: os.kill(os.getppid(), 0),
        "become root": lambda: os.setuid(0),
        "reach the hypervisor": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    }
    for path, is_socket in argument["doors"]:
        attempts[f"reach {path}"] = partial(_connect_to if is_socket else _open, path)
    return {name: _error_of(attempt) for name, attempt in attempts.items()}


def _error_of(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDWR))


def _connect_to(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(path)


def _connect() -> None:
    """Fails unless somebody answers: the sinkhole takes the connection, and says nothing."""
    with socket.create_connection(("192.0.2.1", 9), timeout=5) as sock:  # TEST-NET-1 (RFC 5737)
        if not sock.recv(1):
            raise ConnectionResetError(errno.ECONNRESET, "no answer")
