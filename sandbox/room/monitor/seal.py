"""The last wall, from the supervisor's side: take the cell's listener, and look whether it all stands.

What the cell says is believed only where the kernel says the same. Nothing of a model is opened
before `seal` has returned.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from safe_load.sandbox import protocol
from safe_load.sandbox.kernel import process
from safe_load.sandbox.kernel.ptrace import Tracer
from safe_load.sandbox.kernel.seccomp import Listener
from safe_load.sandbox.room.process_tree import PROC

if TYPE_CHECKING:
    from safe_load.sandbox.protocol import Order, Standing
    from safe_load.sandbox.room.monitor.recorder import Channel
    from safe_load.sandbox.room.view import View

_IMPORT_S = 300.0


class Broken(Exception):
    """The room does not stand; the message says why, for people."""


def seal(
    order: Order, view: View, channel: Channel, worker: int, sync: socket.socket
) -> Listener | Tracer:
    """Wait until the cell stands; hold its listener; let the worker go. Raises Broken, OSError.

    sync: to the cell, see `cell.main`; closed in the end."""
    sync.settimeout(_IMPORT_S)
    holds = order.containment
    said, passed = _hear(sync)
    for name, detail in said.walls:
        channel.wall(name, stands=True, detail=detail)
    listener: Listener | Tracer
    if not holds.notifies:  # it has no filter yet: one without a tracer answers ENOSYS
        listener = Tracer(worker)
        sync.sendall(protocol.TRACE_ME)
        _hear(sync)
        manner = "synchronous, by ptrace"
    elif len(passed) == 1:
        listener = Listener(passed[0])
        manner = "synchronous" if listener.synchronous else "asynchronous"
    else:
        raise Broken("the worker did not pass on its seccomp listener")
    _check_posture(order, worker)
    if order.sinkhole and holds.namespaces and holds.kernel == "linux":
        # The sinkhole works on the worker's own sockets.
        pidfd = os.pidfd_open(worker)
        os.close(process.getfd(pidfd, 1))
        os.close(pidfd)
    channel.wall("seccomp", stands=True, detail=f"{len(order.policy.program) // 8} instructions")
    channel.wall("recorder", stands=True, detail=manner)
    if order.signed:
        channel.sign = _ask_for_sign(channel)
    missing = [name for name in order.walls if name not in channel.standing]
    if missing:  # before anything is opened
        raise Broken(f"these walls could not be built: {', '.join(missing)}")
    channel.send(protocol.Sealed(time.monotonic(), view.quiet))
    if order.mark is not None:
        _mark(order.mark)
    sync.sendall(protocol.GO)
    sync.close()
    return listener


def _hear(sync: socket.socket) -> tuple[Standing, list[int]]:
    """What the cell says next, and the descriptors that come with it. Raises Broken."""
    try:
        line, passed, _, _ = socket.recv_fds(sync, 65536, 1)
        said = protocol.read_state(line)
    except (OSError, protocol.ProtocolError) as error:
        raise Broken("the worker exited before its sandbox was complete") from error
    if isinstance(said, protocol.NotStanding):
        raise Broken(said.reason)
    return said, passed


def _check_posture(order: Order, worker: int) -> None:
    """Believe the kernel, not the calls that returned: read the worker's state back."""
    with open(f"{PROC}/{worker}/status", encoding="ascii", errors="replace") as file:
        status = dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
    expected = {"NoNewPrivs": "1", "Seccomp": "2", "Threads": "1"}
    expected |= dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), "0" * 16)
    if (
        order.containment.namespaces
    ):  # without them only root may empty it, and nothing can be executed
        expected["CapBnd"] = "0" * 16
    if order.containment.kernel == "gvisor":  # it does not show these
        del expected["NoNewPrivs"], expected["CapAmb"]
    for field, value in expected.items():
        if status.get(field, "").strip() != value:
            raise Broken(f"the worker's {field} is {status.get(field, '?').strip()}, not {value}")


def _ask_for_sign(channel: Channel) -> bytes:
    """In a container the stream is a pipe, which gVisor lets the worker open at /proc/1/fd. What the
    supervisor says is known by a word that the controller says when the worker is forked already."""
    channel.send(protocol.Ask())
    sign = b""
    while len(sign) < protocol.SIGN_BYTES:
        piece = os.read(0, protocol.SIGN_BYTES - len(sign))
        if not piece:
            raise Broken("the controller closed the connection")
        sign += piece
    return sign


def _mark(path: str) -> None:
    """Show in the record of whoever watches this container from outside that the walls stand: the
    supervisor opens what is not there."""
    with suppress(FileNotFoundError):
        os.close(os.open(path, os.O_RDONLY))
