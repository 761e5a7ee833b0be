"""A warm room: heavy imports once, inside the walls, before any model is near; one fork per load.

Two processes. The *broker* has left the host's namespaces but still sees the host's files: it turns
each load's files into one detached mount. The *zygote* lives in a root of its own, without files of
the host and without a network, imports what the jobs need, and never runs a job itself: for each
load it forks a child that leaves for fresh namespaces and goes on as a cold room does. A child is
used once. The zygote keeps one thread and no filter, as a fork takes over only that.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import time
from functools import partial
from typing import Any

from safe_load.sandbox.kernel import namespaces, process
from safe_load.sandbox.room import cell, launch, root, supervisor
from safe_load.sandbox.room.recorder import Channel

#: What comes with each order, in this order; the job's outputs follow.
DESCRIPTORS = ("spec", "events", "result", "output", "lifeline")
MOST_OUTPUTS = 200  # SCM_RIGHTS takes 253 descriptors at a time (unix(7))
_STAGE = "/tmp"  # noqa: S108 - a mount point in the broker's own mount namespace


def main(control: int) -> int:
    """The broker: serve orders until the controller lets go, or the zygote has been idle."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    line = socket.socket(fileno=control)
    _, (spec_file,) = _receive(line)
    base = _read(spec_file)
    walls: list[tuple[str, bool, str]] = []
    try:
        identity = launch.enter_namespaces(lambda *wall: walls.append(wall), separate=base["separate_user"])
    except OSError as error:
        line.send(json.dumps({"error": launch.explain(error)}).encode())
        return 1
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = os.fork()
    if zygote == 0:
        line.close()
        ours.close()
        process.die_with_parent()
        _zygote(base, theirs, identity, walls)
    theirs.close()
    try:
        _serve(line, ours)
    finally:
        # Reaped only when every process of its namespace is dead: then everything is.
        os.kill(zygote, signal.SIGKILL)
        os.waitpid(zygote, 0)
    return 0


def _serve(line: socket.socket, zygote: socket.socket) -> None:
    ready, _ = _receive(zygote)
    line.send(ready)
    while _wait(line, zygote):
        order, descriptors = _receive(line)
        if not order:
            return
        try:
            spec = _read(os.dup(descriptors[0]))
            descriptors.append(root.assemble(spec["files"], _STAGE))
        except OSError as error:
            channel = Channel(descriptors[1])
            channel.send(kind="end", status="broken", reason=f"the model's files cannot be shown: {error}")
        else:
            _send(zygote, order, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _wait(line: socket.socket, zygote: socket.socket) -> bool:
    """Until there is an order; False when the zygote has ended."""
    poll = select.poll()
    poll.register(line, select.POLLIN)
    poll.register(zygote, select.POLLIN)
    return all(descriptor != zygote.fileno() for descriptor, _ in poll.poll())


def _zygote(
    base: dict[str, Any],
    line: socket.socket,
    identity: supervisor.Identity,
    walls: list[tuple[str, bool, str]],
) -> None:
    """Import, then fork once per order. Pid 1 of a namespace of its own. Never returns."""
    try:
        namespaces.unshare("mount-namespace")  # the broker goes on seeing the host's files
        root.build(base)
        process.set_name("zygote")
        process.no_new_privileges()
        process.dumpable(on=False)
        os.environ.clear()
        os.environ.update(HOME=root.HOME, LANG="C.UTF-8", TMPDIR=root.SCRATCH, USER="user")
        for entry in base["entries"]:
            cell.import_job({**base, "entry": entry})
        line.send(b'{"ready":true}')
    except BaseException as error:  # noqa: BLE001 - whatever it is, there is no warm room
        line.send(json.dumps({"error": f"{type(error).__name__}: {error}"[:2000]}).encode())
        os._exit(1)
    poll = select.poll()
    poll.register(line, select.POLLIN)
    children: set[int] = set()
    last = time.monotonic()
    while True:
        ready = poll.poll(200 if children else 1000)
        _reap(children)
        if ready:
            order, descriptors = _receive(line)
            if not order:
                os._exit(0)
            child = os.fork()
            if child == 0:
                line.close()
                _load(descriptors, identity, walls)
            children.add(child)
            for descriptor in descriptors:
                os.close(descriptor)
            last = time.monotonic()
        elif not children and time.monotonic() - last > base["idle"]:
            os._exit(0)


def _load(
    descriptors: list[int], identity: supervisor.Identity, walls: list[tuple[str, bool, str]]
) -> None:
    """One load: fresh namespaces, then the life of a cold room. Never returns."""
    process.die_with_parent()
    named = dict(zip(DESCRIPTORS, descriptors, strict=False))
    outputs, model = descriptors[len(DESCRIPTORS) : -1], descriptors[-1]
    channel = Channel(named["events"])
    try:
        spec = _read(os.dup(named["spec"]))
        spec |= {"result": named["result"], "output": named["output"], "outputs": outputs}
        before = launch.inodes()
        namespaces.unshare(*(name for name in namespaces.FLAGS if name != "user-namespace"))
        launch.tell_namespaces(partial(_tell_fresh, channel), before, "")
        for name, stands, detail in walls:
            if name == "user-namespace":
                channel.wall(name, stands, detail)
        child = os.fork()
        if child == 0:
            process.die_with_parent()
            os.dup2(named["lifeline"], 0)
            os.close(named["lifeline"])
            inside = supervisor.Identity(identity.separated, before["pid-namespace"])
            supervisor.main(spec, channel, inside, partial(root.furnish, spec, model))
        for descriptor in {*descriptors} - {named["events"]}:
            os.close(descriptor)
        # The end of the event stream tells the controller that everything of this load is dead.
        os.waitpid(child, 0)
    except OSError as error:
        channel.send(kind="end", status="broken", reason=f"the warm room could not be left: {error}")
    finally:
        os._exit(0)


def _tell_fresh(channel: Channel, name: str, stands: bool, detail: str) -> None:  # noqa: FBT001
    if name != "user-namespace":  # shared by all loads of a warm room
        channel.wall(name, stands, detail)


def _reap(children: set[int]) -> None:
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        children.discard(pid)


def _read(descriptor: int) -> dict[str, Any]:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        spec: dict[str, Any] = json.load(file)
        return spec


def _receive(line: socket.socket) -> tuple[bytes, list[int]]:
    data, descriptors, _, _ = socket.recv_fds(line, 4096, 253)
    return data, descriptors


def _send(line: socket.socket, data: bytes, descriptors: list[int]) -> None:
    rights = array.array("i", descriptors)
    line.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])

