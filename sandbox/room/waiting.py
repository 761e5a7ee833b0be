"""Pid 1 of a container that waits: what jobs import is imported once, and each job is a fork.

Started by the engine as `contained` is. No namespace can be made in here, so jobs come one after the
other, and each must leave the container as it found it: no process, nothing in the folders that could
be written to. Otherwise pid 1 ends, and the kernel ends everything with it. The controller throws the
container away besides, as soon as a job has done anything but read.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from typing import Any, NoReturn

from safe_load.sandbox.kernel import memory, process
from safe_load.sandbox.room import cell, contained, root
from safe_load.sandbox.room.inside import PROC
from safe_load.sandbox.room.recorder import Channel
from safe_load.sandbox.room.warm import (
    DESCRIPTORS,
    IDLE,
    READY,
    read,
    receive,
    rehearse,
    require_one_thread,
)

#: Where the controller listens, until this process has come.
LINE = "/line"
#: Said when a job has left the container as it was; and when there was none for long enough.
AGAIN, BORED = b"again", b"idle"
_LIFELINE = 0  # its end means that the controller has let go, or is gone
_SHARED = (root.SCRATCH, root.HOME)

_State = list[tuple[int, int, int, list[str]]]


def main(_argument: int) -> int:
    """Serve jobs until the controller lets go, nothing has been asked for long enough, or a job has
    left something behind. Returns the exit code."""
    first = sys.stdin.buffer.readline()
    if not first.endswith(b"\n"):  # the controller died before it had said everything
        return 1
    base: dict[str, Any] = json.loads(first)
    process.limit("CORE", 0)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.connect(LINE)
    try:
        process.set_name("zygote")
        process.dumpable(on=False)
        os.environ.clear()
        os.environ.update(HOME=root.HOME, LANG="C.UTF-8", TMPDIR=root.SCRATCH, USER="user")
        base |= contained.places(base)
        for entry in base["entries"]:
            cell.import_job({**base, "entry": entry})
            rehearse(entry)
        memory.collapse()
        require_one_thread()
    except BaseException as error:  # noqa: BLE001 - whatever it is, no job can be done
        line.send(json.dumps({"error": f"{type(error).__name__}: {error}"[:2000]}).encode())
        return 1
    line.send(READY)
    return _serve(line, base["idle"])


def _serve(line: socket.socket, idle_s: float) -> int:
    before = _state()
    poll = select.poll()
    poll.register(line, select.POLLIN)
    poll.register(_LIFELINE, 0)  # POLLHUP is told anyway
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(idle_s * 1000)}
        if not ready:
            line.send(BORED)
            return IDLE
        order, descriptors = receive(line) if _LIFELINE not in ready else (b"", [])
        if not order:
            return 0
        named = dict(zip(DESCRIPTORS, descriptors, strict=False))
        if not _is_done(line, descriptors):
            return 1
        _clear_home()
        if _state() != before:
            return 1
        line.send(AGAIN)
        os.close(named["events"])  # which tells the controller that everything of this job is dead


def _is_done(line: socket.socket, descriptors: list[int]) -> bool:
    """Have the job done by a child. Whether it, and all that it started, came to an end."""
    child = os.fork()
    if child == 0:
        _supervise(line, descriptors)
    named = dict(zip(DESCRIPTORS, descriptors, strict=False))
    for descriptor in {*descriptors} - {named["events"]}:
        os.close(descriptor)
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(_LIFELINE, 0)
    ready = {descriptor for descriptor, _ in poll.poll()}
    if _LIFELINE in ready:
        return False
    os.close(pidfd)
    _, status = os.waitpid(child, 0)
    return status == 0 and [name for name in os.listdir(PROC) if name.isdecimal()] == ["1"]


def _supervise(line: socket.socket, descriptors: list[int]) -> NoReturn:
    """One job: from here on as in a container of its own."""
    named = dict(zip(DESCRIPTORS, descriptors, strict=False))
    channel = Channel(named["events"])
    try:
        process.die_with_parent()
        process.become_subreaper()
        line.close()
        spec = read(named["spec"])
        spec |= {"result": named["result"], "output": named["output"]}
        spec["outputs"] = descriptors[len(DESCRIPTORS) :]
        os.dup2(named["lifeline"], _LIFELINE)
        os.close(named["lifeline"])
        contained.supervise(spec, channel)
    except OSError as error:
        channel.send(kind="end", status="broken", reason=f"the job could not be begun: {error}")
    finally:
        os._exit(1)


def _clear_home() -> None:
    """Remove what was planted; the worker can write nothing there."""
    for path, folders, files in os.walk(root.HOME, topdown=False):
        for name in files:
            os.unlink(f"{path}/{name}")
        for name in folders:
            os.rmdir(f"{path}/{name}")


def _state() -> _State:
    """Of the folders that a worker, or what it started, can reach: owner, mode and content."""
    found = []
    for path in _SHARED:
        status = os.stat(path)
        found.append((status.st_uid, status.st_gid, status.st_mode, os.listdir(path)))
    return found
