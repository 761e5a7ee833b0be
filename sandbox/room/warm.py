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

import array
import importlib
import json
import os
import select
import signal
import socket
from functools import partial
from typing import Any, NoReturn

from safe_load.sandbox.kernel import memory, namespaces, process
from safe_load.sandbox.room import cell, launch, root, supervisor
from safe_load.sandbox.room.recorder import Channel

#: What comes with each order, in this order; the job's outputs follow.
DESCRIPTORS = ("spec", "events", "result", "output", "lifeline")
MOST_OUTPUTS = 200  # SCM_RIGHTS takes 253 descriptors at a time (unix(7))
#: The orders, each for one zygote.
LIGHT, HEAVY = b"light", b"heavy"
IDLE = 75  # the exit code of a warm room that had nothing to do for long enough
READY = b'{"ready":true}'
_LIFELINE = 0  # the broker's own: its end means that the controller has let go, or is gone
_STAGE = "/tmp"  # noqa: S108 - a mount point in the broker's own mount namespace

_Walls = list[tuple[str, bool, str]]


def main(control: int) -> int:
    """The broker: serve orders until the controller lets go, a zygote has ended, or nothing has
    been asked for long enough. Returns when every process of the warm room is dead."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    line = socket.socket(fileno=control)
    _, (spec_file,) = receive(line)
    base = read(spec_file)
    walls: _Walls = []
    try:
        identity = launch.enter_namespaces(
            lambda *wall: walls.append(wall), separate=base["separate_user"]
        )
    except OSError as error:
        said = {"error": launch.explain(error), "refused": launch.is_refusal(error)}
        line.send(json.dumps(said).encode())
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
        _zygotes(base, {order: theirs for order, (_, theirs) in lines.items()}, identity, walls)
    for _, theirs in lines.values():
        theirs.close()
    try:
        return _broker(line, {order: ours for order, (ours, _) in lines.items()}, base["idle"])
    finally:
        # Reaped only when every process of its namespace is dead: then everything is.
        os.kill(zygote, signal.SIGKILL)
        os.waitpid(zygote, 0)


def _broker(line: socket.socket, zygotes: dict[bytes, socket.socket], idle_s: float) -> int:
    """Pass orders on, each to its zygote, until nothing is left to do. Returns the exit code."""
    for zygote in zygotes.values():
        if _LIFELINE in select.select([zygote.fileno(), _LIFELINE], [], [])[0]:
            return 0  # let go while it was warming up
        ready, _ = receive(zygote)
        if ready != READY:
            line.send(ready)
            return 1
    line.send(READY)
    lifelines: set[int] = set()  # of the loads that still run
    while (reason := _wait(line, zygotes, lifelines, idle_s)) is None:
        order, descriptors = receive(line)
        if not order:
            return 0
        named = dict(zip(DESCRIPTORS, descriptors, strict=False))
        lifelines.add(os.dup(named["lifeline"]))
        try:
            spec = read(os.dup(named["spec"]))
            descriptors.append(root.assemble(spec["files"], _STAGE))
        except OSError as error:
            channel = Channel(named["events"])
            channel.send(
                kind="end", status="broken", reason=f"the model's files cannot be shown: {error}"
            )
        else:
            _send(zygotes[order], order, descriptors)
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
            return IDLE
        if any(zygote.fileno() in ready for zygote in zygotes.values()):
            return 1
        if line.fileno() in ready:
            return None
        for lifeline in ready:
            poll.unregister(lifeline)
            os.close(lifeline)
        lifelines -= ready


def _zygotes(
    base: dict[str, Any],
    lines: dict[bytes, socket.socket],
    identity: supervisor.Identity,
    walls: _Walls,
) -> NoReturn:
    """Build the root that both share, and become them. The heavy one is pid 1 of their namespace."""
    try:
        namespaces.unshare("mount-namespace")  # the broker goes on seeing the host's files
        root.build(base)
        process.set_name("zygote")
        process.no_new_privileges()
        process.dumpable(on=False)
        os.environ.clear()
        os.environ.update(HOME=root.HOME, LANG="C.UTF-8", TMPDIR=root.SCRATCH, USER="user")
        light = os.fork() == 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, there is no warm room
        _complain(lines[LIGHT], error)
    order, other = (LIGHT, HEAVY) if light else (HEAVY, LIGHT)
    lines[other].close()
    line = lines[order]
    try:
        if light:
            process.die_with_parent()
            for entry in base["light"]:
                cell.import_job({**base, "entry": entry, "preload": ()})
        else:
            for entry in base["entries"]:
                cell.import_job({**base, "entry": entry})
                rehearse(entry)
            memory.collapse()
        require_one_thread()
        line.send(READY)
        _serve(line, identity, walls)
    except BaseException as error:  # noqa: BLE001 - as above
        _complain(line, error)


def _complain(line: socket.socket, error: BaseException) -> NoReturn:
    line.send(json.dumps({"error": f"{type(error).__name__}: {error}"[:2000]}).encode())
    os._exit(1)


def rehearse(entry: str) -> None:
    """Let the job's module do once what every job of it does, so that what is made on first use is
    there: a module may have a `rehearse()`. No file of a model is near."""
    module = importlib.import_module(entry.partition(":")[0])
    if rehearse := getattr(module, "rehearse", None):
        rehearse()
        cell.settle()


def require_one_thread() -> None:
    """A thread would hold locks that no fork releases, and no other pid namespace could be made."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(
            f"the imports left {threads - 1} threads running, so it cannot be forked"
        )


def _serve(line: socket.socket, identity: supervisor.Identity, walls: _Walls) -> NoReturn:
    """Fork once per order, until the broker is gone.

    A load's event stream stays open here until the kernel has reaped its pid 1: its end tells the
    controller that everything of this load is dead.
    """
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    identity = supervisor.Identity(identity.separated, launch.inodes()["pid-namespace"])
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
        order, descriptors = receive(line)
        if not order:
            os._exit(0)
        events = descriptors[DESCRIPTORS.index("events")]
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
            reason = f"the warm room could not be left: {error}"
            Channel(events).send(kind="end", status="broken", reason=reason)
            os._exit(1)  # what its next child would be in is not known
        pidfd = os.pidfd_open(child)
        running[pidfd] = (child, events)
        poll.register(pidfd, select.POLLIN)
        for descriptor in {*descriptors} - {events}:
            os.close(descriptor)


def _load(descriptors: list[int], identity: supervisor.Identity, walls: _Walls) -> NoReturn:
    """One load, as pid 1 of its namespace: the others too, then the life of a cold room."""
    process.die_with_parent()
    named = dict(zip(DESCRIPTORS, descriptors, strict=False))
    outputs, model = descriptors[len(DESCRIPTORS) : -1], descriptors[-1]
    channel = Channel(named["events"])
    try:
        spec = read(named["spec"])
        spec |= {"result": named["result"], "output": named["output"], "outputs": outputs}
        before = launch.inodes()
        namespaces.unshare(
            *(name for name in namespaces.FLAGS if name not in ("user-namespace", "pid-namespace"))
        )
        launch.tell_namespaces(partial(_tell_fresh, channel), before, "")
        for name, stands, detail in walls:
            if name == "user-namespace":
                channel.wall(name, stands, detail)
        os.dup2(named["lifeline"], 0)
        os.close(named["lifeline"])
        build = partial(launch.build_inside, spec, partial(root.furnish, spec, model))
        supervisor.main(spec, channel, identity, build)
    except OSError as error:
        channel.send(
            kind="end", status="broken", reason=f"the warm room could not be left: {error}"
        )
    finally:
        os._exit(0)


def _tell_fresh(channel: Channel, name: str, stands: bool, detail: str) -> None:
    if name != "user-namespace":  # shared by all loads of a warm room
        channel.wall(name, stands, detail)


def read(descriptor: int) -> dict[str, Any]:
    """The specification in a file, which is closed."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        spec: dict[str, Any] = json.load(file)
        return spec


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    data, descriptors, _, _ = socket.recv_fds(line, 4096, 253)
    return data, descriptors


def _send(line: socket.socket, data: bytes, descriptors: list[int]) -> None:
    rights = array.array("i", descriptors)
    line.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
