"""Pid 1 of a container: the same supervisor and cell, in what an engine has built round them.

Started by the engine as `python -I -S` without any right. Standard input brings one order
(protocol.ContainerOrder) and is the lifeline; standard output takes the supervisor's stream, standard error what the
worker says. Nothing here can build a wall outside the cell, so each is looked at instead, and what
is not as it was ordered ends the room before anything of the model is read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import sys
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from safe_load.sandbox import protocol
from safe_load.sandbox.kernel import process
from safe_load.sandbox.room import root
from safe_load.sandbox.room.launch import container_checks, native
from safe_load.sandbox.room.monitor import supervisor
from safe_load.sandbox.room.monitor.recorder import Channel
from safe_load.sandbox.room.process_tree import PROC, ProcessTree
from safe_load.sandbox.room.view import Ends, View, readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.sandbox.protocol import ContainerOrder, Identity, Limits

MODULES = "/runtime/modules"
OUTPUTS = "/outputs"
#: What the home folder of a container may hold.
HOME_BYTES = 1 << 20
#: Where anybody may write in every container, and what was ordered. Landlock leaves the worker the
#: scratch folder of it.
_WRITABLE = (
    "/proc/",
    "/dev/",
    "/sys/fs/cgroup/",
    f"{root.SCRATCH}/",
    f"{root.HOME}/",
    f"{OUTPUTS}/",
)
#: Where a control group tells whom the kernel has killed: of version 2, and of version 1.
_OOM_COUNTS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")
#: Of gVisor's /proc/meminfo: what is no file's, its file systems in memory among it; and those.
_WHOLE = re.compile(rb"^(AnonPages|Shmem):\s+(\d+) kB", re.MULTILINE)
_CPU = "/sys/devices/system/cpu"
#: What a cell may read besides, here where /etc is the engine's too. /home and /usr hold nothing but
#: what the image brings and what is planted: whoever walks through them is watched for longer.
_COMMON = (
    *("/etc/group", "/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd"),
    *("/dev/random", "/dev/urandom", "/home", "/usr"),
)


def main(_argument: int) -> int:
    """Run one job. Returns only when it could not be begun."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the controller died before it had said everything
        return 1
    process.limit("CORE", 0)
    channel = Channel(os.dup(1))
    drain, output = os.pipe()
    try:
        order = protocol.read_order(protocol.ContainerOrder, line)
        outputs = tuple(_open_output(number, each) for number, each in enumerate(order.outputs))
    except protocol.ProtocolError as error:
        channel.send(protocol.End(status="broken", reason=f"the room's order: {error}"))
        return 1
    except OSError as error:
        reason = f"an output file cannot be opened in the container: {error}"
        channel.send(protocol.End(status="broken", reason=reason))
        return 1
    return supervise(order, Ends(os.dup(2), output, outputs, drain), channel)


def supervise(order: ContainerOrder, ends: Ends, channel: Channel) -> NoReturn:
    """Be the supervisor of one job in this container."""
    kernel = order.containment.kernel
    if kernel == "linux":
        native.tell_namespaces(channel.wall, order.namespaces, "")
        container_checks.tell_limits(channel.wall, order)
    else:  # what the host's namespaces keep apart, a whole kernel keeps apart
        for name in order.namespaces.keys() - {"user-namespace", "pid-namespace"}:
            channel.wall(name, stands=True, detail="gVisor's kernel is this container's own")
    identity = supervisor.Identity(
        separated=False, outer_pid_namespace=order.namespaces["pid-namespace"], kept=()
    )
    limits = order.limits
    processes = Contained(limits) if kernel == "linux" else InGvisor(limits.scratch)
    build = partial(_take_over, order, channel)
    supervisor.main(order, ends, channel, identity, build, processes)


class Contained(ProcessTree):
    """A room whose memory the engine bounds too. Its control group counts whom the kernel has killed,
    before they are dead (mm/oom_kill.c); what the watch does not count ends so, or what grows
    faster than it looks."""

    def __init__(self, limits: Limits) -> None:
        self._before = _kills() or 0
        self._most = limits.scratch_files

    def excess(self, others: Iterable[int]) -> str | None:
        """As of Inside. Not every engine can be told how many files a tmpfs may hold."""
        del others
        _, files, free = container_checks.file_system(root.SCRATCH)
        if files - free > self._most:
            return f"disk limit: the scratch folder holds more than {self._most} files"
        return None

    def starved(self) -> str | None:
        """As of Inside. The count cannot be changed from inside."""
        if (_kills() or 0) > self._before:
            return "memory limit: the kernel killed a process, as the container was out of memory"
        return None


class InGvisor(ProcessTree):
    """A room in gVisor's kernel, which tells little of a process, and of itself the whole. scratch: what
    its file systems in memory may hold."""

    def __init__(self, scratch: int) -> None:
        self._scratch = scratch + HOME_BYTES

    def held(self) -> int:
        """As of Inside: also what is no process's that could be looked at."""
        with open(f"{PROC}/meminfo", "rb") as file:
            found = {name: int(size) << 10 for name, size in _WHOLE.findall(file.read(4096))}
        return found[b"AnonPages"] - min(found[b"Shmem"], self._scratch)


def _kills() -> int | None:
    """How often the kernel has killed in this control group; None where that is not told."""
    for path in _OOM_COUNTS:
        try:
            with open(path, encoding="ascii") as file:
                counts = dict(line.split() for line in file)
        except (OSError, ValueError):
            continue
        return int(counts.get("oom_kill", 0))
    return None


def _open_output(number: int, expected: Identity | str) -> int:
    """meant: its device and inode, or what the controller has written there for us to find."""
    path = f"{OUTPUTS}/{number}"
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    if isinstance(expected, str):
        _require_same(os.fstat(descriptor), path, None)
        if os.pread(descriptor, len(expected) + 1, 0) != expected.encode():
            raise OSError(
                errno.ESTALE, f"{path} was replaced by another file after it was inspected"
            )
        os.ftruncate(descriptor, 0)
    else:
        _require_same(os.fstat(descriptor), path, expected)
    return descriptor


def interpreter(order: ContainerOrder) -> tuple[tuple[str, ...], str]:
    """What the image's Python has as its path, and the folder of safe_load."""
    standard = os.path.dirname(os.__file__)
    path = (standard, f"{standard}/lib-dynload", order.site, MODULES)
    return path, f"{order.site}/safe_load"


def _view(order: ContainerOrder) -> View:
    """Where this image has what a job needs, and what of it the worker may read."""
    sys_path, package = interpreter(order)
    standard = os.path.dirname(os.__file__)
    roots = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", standard, order.site, MODULES]
    quiet = [*roots, *order.folders, "/dev/null", "/dev/urandom"]
    return View(
        sys_path=sys_path,
        package=package,
        argument=order.argument,
        quiet=tuple(f"{path}/" for path in quiet),
        rules=readable((*_COMMON, *roots, *order.folders, _CPU)),
    )


def _take_over(order: ContainerOrder, channel: Channel) -> View:
    """See that the container is the one that was ordered, and plant what lies in it. Raises OSError."""
    if os.geteuid() != order.user:
        raise OSError(errno.EPERM, f"the container runs as user {os.geteuid()}")
    container_checks.require(order)
    if "ro" not in container_checks.mounted()["/"][1]:
        raise OSError(errno.EPERM, "the container's root can be written to")
    if not os.access(root.SCRATCH, os.W_OK):
        raise OSError(errno.EACCES, f"the container's {root.SCRATCH} cannot be written to")
    writable = [path for path in _writable() if not f"{path}/".startswith(_WRITABLE)]
    if writable:
        raise OSError(errno.EPERM, f"the container has {writable[0]} writable")
    interfaces = _interfaces()
    if interfaces != ["lo"]:
        raise OSError(errno.EPERM, f"the container has a network: {', '.join(interfaces)}")
    for file in order.files:
        _require_same(os.lstat(file.target), file.target, file.identity)
        if file.identity is None:
            channel.send(protocol.Shown(file.target, _digest(file.target)))
    for path, text in order.planted.items():
        root.make_file(path, text)
    return _view(order)


def _digest(path: str) -> str:
    """The SHA-256 of a file that is told from others by nothing else."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_same(status: os.stat_result, path: str, identity: Identity | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"{path} is not a regular file")
    if identity is not None and (status.st_dev, status.st_ino) != identity:
        raise OSError(errno.ESTALE, f"{path} was replaced by another file after it was inspected")


def _writable() -> list[str]:
    """What is mounted so that this user can write to it."""
    return [
        path
        for path, (_, options) in container_checks.mounted().items()
        if "rw" in options and os.access(path, os.W_OK)
    ]


def _interfaces() -> list[str]:
    with open("/proc/self/net/dev", encoding="ascii", errors="replace") as file:
        return [line.partition(":")[0].strip() for line in file.readlines()[2:]]
