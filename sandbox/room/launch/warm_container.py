"""Pid 1 of a container that waits: what jobs import is imported once, and each job is a fork.

Started by the engine as `contained` is. No namespace can be made in here, so jobs come one after the
other, and each must leave the container as it found it: no process, nothing in the folders that could
be written to. Otherwise pid 1 ends, and the kernel ends everything with it. The controller throws the
container away besides, as soon as a job has done anything but read.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from typing import NoReturn

from safe_load.sandbox import protocol
from safe_load.sandbox.kernel import memory, process
from safe_load.sandbox.protocol import ContainerOrder, Descriptors, WarmContainerOrder
from safe_load.sandbox.room import cell, root
from safe_load.sandbox.room.launch import container
from safe_load.sandbox.room.launch.warm import read, require_one_thread, warm_up
from safe_load.sandbox.room.monitor.recorder import Channel
from safe_load.sandbox.room.process_tree import PROC
from safe_load.sandbox.room.view import Ends

#: Where the controller listens, until this process has come.
LINE = "/line"
_LIFELINE = 0  # its end means that the controller has let go, or is gone
_SHARED = (root.SCRATCH, root.HOME)

_State = list[tuple[int, int, int, list[str]]]


def main(_argument: int) -> int:
    """Serve jobs until the controller lets go, nothing has been asked for long enough, or a job has
    left something behind. Returns the exit code."""
    first = sys.stdin.buffer.readline()
    if not first.endswith(b"\n"):  # the controller died before it had said everything
        return 1
    process.limit("CORE", 0)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.connect(LINE)
    try:
        process.set_name("zygote")
        process.dumpable(on=False)
        os.environ.clear()
        os.environ.update(HOME=root.HOME, LANG="C.UTF-8", TMPDIR=root.SCRATCH, USER=root.USER)
        order = protocol.read_order(WarmContainerOrder, first)
        sys_path, package = container.interpreter(order.base)
        for entry in order.warming.entries:
            cell.import_job(entry, order.base.preload, sys_path, package)
            warm_up(entry)
        memory.collapse()
        require_one_thread()
    except BaseException as error:  # noqa: BLE001 - whatever it is, no job can be done
        line.send(protocol.write(protocol.NotStanding(f"{type(error).__name__}: {error}"[:2000])))
        return 1
    line.send(protocol.READY)
    return _serve(line, order.warming.idle)


def _serve(line: socket.socket, idle_s: float) -> int:
    before = _state()
    poll = select.poll()
    poll.register(line, select.POLLIN)
    poll.register(_LIFELINE, 0)  # POLLHUP is told anyway
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(idle_s * 1000)}
        if not ready:
            line.send(protocol.BORED)
            return protocol.IDLE
        word, descriptors = protocol.receive(line) if _LIFELINE not in ready else (b"", [])
        if not word:
            return 0
        passed, _ = Descriptors.split(descriptors)
        if not _is_done(line, descriptors):
            return 1
        _clear_home()
        if _state() != before:
            return 1
        line.send(protocol.AGAIN)
        os.close(passed.events)  # which tells the controller that everything of this job is dead


def _is_done(line: socket.socket, descriptors: list[int]) -> bool:
    """Have the job done by a child. Whether it, and all that it started, came to an end."""
    child = os.fork()
    if child == 0:
        _supervise(line, descriptors)
    passed, _ = Descriptors.split(descriptors)
    for descriptor in {*descriptors} - {passed.events}:
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
    passed, outputs = Descriptors.split(descriptors)
    channel = Channel(passed.events)
    try:
        process.die_with_parent()
        process.become_subreaper()
        line.close()
        order = read(ContainerOrder, passed.order)
        os.dup2(passed.lifeline, _LIFELINE)
        os.close(passed.lifeline)
        container.supervise(order, Ends(passed.result, passed.output, tuple(outputs)), channel)
    except (OSError, protocol.ProtocolError) as error:
        reason = f"the job could not be started: {error}"
        channel.send(protocol.End(status="broken", reason=reason))
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
