"""A warm room: heavy imports once, inside the walls, before any model is near; one fork per load.

Three processes. The *broker* has left the host's namespaces but still sees the host's files: it turns
each load's files into one detached mount. Two *zygotes* live in a root of their own, without files of
the host and without a network, and never run a job themselves: for each load one of them forks a
child that leaves for fresh namespaces and goes on as a cold room does. A child is used once. The
heavy zygote has imported what most jobs need; the light one has not, and serves the jobs that need
none of it, because what a process has imported is paid for at each fork and at each end. A zygote
keeps one thread and no filter, as a fork takes over only that.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
from functools import partial
from typing import NoReturn, TypeVar

from safe_load.sandbox import protocol
from safe_load.sandbox.kernel import memory, namespaces, process
from safe_load.sandbox.protocol import HEAVY, LIGHT, Descriptors, HostOrder, WarmHostOrder
from safe_load.sandbox.room import cell, root
from safe_load.sandbox.room.launch import native
from safe_load.sandbox.room.monitor import supervisor
from safe_load.sandbox.room.monitor.recorder import Channel
from safe_load.sandbox.room.view import Ends

_LIFELINE = 0  # the broker's own: its end means that the controller has let go, or is gone
_STAGE = "/tmp"  # noqa: S108 - a mount point in the broker's own mount namespace

_Walls = list[tuple[str, bool, str]]
T = TypeVar("T")


def main(control: int) -> int:
    """The broker: serve orders until the controller lets go, a zygote has ended, or nothing has
    been asked for long enough. Returns when every process of the warm room is dead."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    line = socket.socket(fileno=control)
    walls: _Walls = []
    try:
        first = read(WarmHostOrder, _of_base(line))
        identity = native.enter_namespaces(
            lambda *wall: walls.append(wall), separate=first.base.separate_user
        )
    except protocol.ProtocolError as error:
        line.send(protocol.write(protocol.NotStanding(f"the room's order: {error}")))
        return 1
    except OSError as error:
        said = protocol.NotStanding(native.explain(error), native.is_refusal(error))
        line.send(protocol.write(said))
        return 1
    lines = {
        order: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for order in (LIGHT, HEAVY)
    }
    zygote = os.fork()
    if zygote == 0:
        line.close()
        for ours, _ in lines.values():
            ours.close()
        process.die_with_parent()
        _zygotes(first, {order: theirs for order, (_, theirs) in lines.items()}, identity, walls)
    for _, theirs in lines.values():
        theirs.close()
    try:
        return _broker(
            line, {order: ours for order, (ours, _) in lines.items()}, first.warming.idle
        )
    finally:
        # Reaped only when every process of its namespace is dead: then everything is.
        os.kill(zygote, signal.SIGKILL)
        os.waitpid(zygote, 0)


def _of_base(line: socket.socket) -> int:
    """The descriptor of the first order. Raises ProtocolError."""
    word, descriptors = protocol.receive(line)
    if word != protocol.BASE or len(descriptors) != 1:
        raise protocol.ProtocolError("a base with one descriptor must come first")
    return descriptors[0]


def _broker(line: socket.socket, zygotes: dict[bytes, socket.socket], idle_s: float) -> int:
    """Pass orders on, each to its zygote, until nothing is left to do. Returns the exit code."""
    for zygote in zygotes.values():
        if _LIFELINE in select.select([zygote.fileno(), _LIFELINE], [], [])[0]:
            return 0  # let go while it was warming up
        ready, _ = protocol.receive(zygote)
        if ready != protocol.READY:
            line.send(ready)
            return 1
    line.send(protocol.READY)
    lifelines: set[int] = set()  # of the loads that still run
    while (reason := _wait(line, zygotes, lifelines, idle_s)) is None:
        word, descriptors = protocol.receive(line)
        if not word:
            return 0
        passed, _ = Descriptors.split(descriptors)
        lifelines.add(os.dup(passed.lifeline))
        try:
            order = read(HostOrder, os.dup(passed.order))
            descriptors.append(root.assemble(order.files, _STAGE))
        except (OSError, protocol.ProtocolError) as error:
            said = f"the model's files cannot be mounted: {error}"
            Channel(passed.events).send(protocol.End(status="broken", reason=said))
        else:
            protocol.send(zygotes[word], word, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
    return reason


def _wait(
    line: socket.socket, zygotes: dict[bytes, socket.socket], lifelines: set[int], idle_s: float
) -> int | None:
    """Until there is an order: None. Otherwise the exit code: IDLE when nothing was to do for idle_s,
    1 when a zygote has ended. lifelines: those of loads that have ended are closed and removed."""
    poll = select.poll()
    for end in (line, *zygotes.values()):
        poll.register(end, select.POLLIN)
    for lifeline in lifelines:
        poll.register(lifeline, 0)  # POLLHUP is told anyway
    while True:
        ready = {descriptor for descriptor, _ in poll.poll(None if lifelines else idle_s * 1000)}
        if not ready:
            return protocol.IDLE
        if any(zygote.fileno() in ready for zygote in zygotes.values()):
            return 1
        if line.fileno() in ready:
            return None
        for lifeline in ready:
            poll.unregister(lifeline)
            os.close(lifeline)
        lifelines -= ready


def _zygotes(
    first: WarmHostOrder,
    lines: dict[bytes, socket.socket],
    identity: supervisor.Identity,
    walls: _Walls,
) -> NoReturn:
    """Build the root that both share, and become them. The heavy one is pid 1 of their namespace."""
    try:
        namespaces.unshare("mount-namespace")  # the broker goes on seeing the host's files
        root.build(first.base)
        process.set_name("zygote")
        process.no_new_privileges()
        process.dumpable(on=False)
        os.environ.clear()
        os.environ.update(HOME=root.HOME, LANG="C.UTF-8", TMPDIR=root.SCRATCH, USER=root.USER)
        light = os.fork() == 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, there is no warm room
        _complain(lines[LIGHT], error)
    order, other = (LIGHT, HEAVY) if light else (HEAVY, LIGHT)
    lines[other].close()
    line = lines[order]
    try:
        base, warming = first.base, first.warming
        if light:
            process.die_with_parent()
            for entry in warming.light:
                cell.import_job(entry, (), base.sys_path, base.package)
        else:
            for entry in warming.entries:
                cell.import_job(entry, base.preload, base.sys_path, base.package)
                warm_up(entry)
            memory.collapse()
        require_one_thread()
        line.send(protocol.READY)
        _serve(line, identity, walls)
    except BaseException as error:  # noqa: BLE001 - as above
        _complain(line, error)


def _complain(line: socket.socket, error: BaseException) -> NoReturn:
    line.send(protocol.write(protocol.NotStanding(f"{type(error).__name__}: {error}"[:2000])))
    os._exit(1)


def warm_up(entry: str) -> None:
    """Let the job's module do once what every job of it does, so that what is made on first use is
    there: a module may have a `warm_up()`. No file of a model is near."""
    module = importlib.import_module(entry.partition(":")[0])
    if warm_up := getattr(module, "warm_up", None):
        warm_up()
        cell.settle()


def require_one_thread() -> None:
    """A thread would hold locks that no fork releases, and no other pid namespace could be made."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(
            f"the imports left {threads - 1} threads running, so the warm room cannot be forked"
        )


def _serve(line: socket.socket, identity: supervisor.Identity, walls: _Walls) -> NoReturn:
    """Fork once per order, until the broker is gone.

    A load's event stream stays open here until the kernel has reaped its pid 1: its end tells the
    controller that everything of this load is dead.
    """
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    identity = supervisor.Identity(identity.separated, native.inodes()["pid-namespace"])
    poll = select.poll()
    poll.register(line, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}  # pidfd -> pid, events
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        for pidfd in ready & running.keys():
            pid, events = running.pop(pidfd)
            os.waitpid(pid, 0)
            poll.unregister(pidfd)
            os.close(pidfd)
            os.close(events)
        if line.fileno() not in ready:
            continue
        order, descriptors = protocol.receive(line)
        if not order:
            os._exit(0)
        events = Descriptors.split(descriptors)[0].events
        try:
            namespaces.unshare("pid-namespace")  # the next child is its pid 1
            child = os.fork()
            if child == 0:
                for pidfd, (_, others) in running.items():
                    os.close(pidfd)
                    os.close(others)
                line.close()
                os.close(home)
                _load(descriptors, identity, walls)
            namespaces.join(home, "pid-namespace")
        except OSError as error:
            reason = f"the job could not be started in the warm room: {error}"
            Channel(events).send(protocol.End(status="broken", reason=reason))
            os._exit(1)  # what its next child would be in is not known
        pidfd = os.pidfd_open(child)
        running[pidfd] = (child, events)
        poll.register(pidfd, select.POLLIN)
        for descriptor in {*descriptors} - {events}:
            os.close(descriptor)


def _load(descriptors: list[int], identity: supervisor.Identity, walls: _Walls) -> NoReturn:
    """One load, as pid 1 of its namespace: the others too, then the life of a cold room."""
    process.die_with_parent()
    passed, (*outputs, model) = Descriptors.split(descriptors)
    channel = Channel(passed.events)
    try:
        order = read(HostOrder, passed.order)
        before = native.inodes()
        namespaces.unshare(
            *(name for name in namespaces.FLAGS if name not in ("user-namespace", "pid-namespace"))
        )
        native.tell_namespaces(partial(_tell_fresh, channel), before, "")
        for name, stands, detail in walls:
            if name == "user-namespace":
                channel.wall(name, stands, detail)
        os.dup2(passed.lifeline, 0)
        os.close(passed.lifeline)
        build = partial(native.build_inside, order, partial(root.populate, order, model))
        ends = Ends(passed.result, passed.output, tuple(outputs))
        supervisor.main(order, ends, channel, identity, build)
    except (OSError, protocol.ProtocolError) as error:
        reason = f"the job could not be started in the warm room: {error}"
        channel.send(protocol.End(status="broken", reason=reason))
    finally:
        os._exit(0)


def _tell_fresh(channel: Channel, name: str, stands: bool, detail: str) -> None:
    if name != "user-namespace":  # shared by all loads of a warm room
        channel.wall(name, stands, detail)


def read(kind: type[T], descriptor: int) -> T:
    """The order in a file, which is closed. Raises OSError, ProtocolError."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return protocol.read_order(kind, file.read())
