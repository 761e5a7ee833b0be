"""Pid 1 of a container: the same supervisor and cell, in what an engine has built round them.

Started by the engine as `python -I -S` without any right. Standard input brings one specification
(JSON) and is the lifeline; standard output takes the supervisor's stream, standard error what the
worker says. Nothing here can build a wall outside the cell, so each is looked at instead, and what
is not as it was ordered ends the room before anything of the model is read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from safe_load.sandbox.kernel import process
from safe_load.sandbox.room import launch, ordered, root, supervisor
from safe_load.sandbox.room.inside import PROC, Inside
from safe_load.sandbox.room.recorder import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    spec: dict[str, Any] = json.loads(line)
    process.limit("CORE", 0)
    channel = Channel(os.dup(1))
    drain, output = os.pipe()
    try:
        outputs = [_open_output(number, each) for number, each in enumerate(spec["outputs"])]
    except OSError as error:
        reason = f"an output file cannot be opened in the container: {error}"
        channel.send(kind="end", status="broken", reason=reason)
        return 1
    spec |= {"result": os.dup(2), "output": output, "drain": drain, "outputs": outputs}
    return supervise(spec, channel)


def supervise(spec: dict[str, Any], channel: Channel) -> NoReturn:
    """Be the supervisor of one job in this container."""
    spec |= places(spec)
    if spec["kernel"] == "linux":
        launch.tell_namespaces(channel.wall, spec["outer"], "")
        ordered.tell_limits(channel.wall, spec)
    else:  # what the host's namespaces keep apart, a whole kernel keeps apart
        for name in spec["outer"].keys() - {"user-namespace", "pid-namespace"}:
            channel.wall(name, stands=True, detail="gVisor's kernel is this container's own")
    identity = supervisor.Identity(
        separated=False, outer_pid_namespace=spec["outer"]["pid-namespace"], kept=()
    )
    limits = spec["limits"]
    inside = Contained(limits) if spec["kernel"] == "linux" else InGvisor(limits["scratch"])
    supervisor.main(spec, channel, identity, partial(_take_over, spec, channel), inside)


class Contained(Inside):
    """A room whose memory the engine bounds too. Its control group counts whom the kernel has killed,
    before they are dead (mm/oom_kill.c); what the watch does not count ends so, or what grows
    faster than it looks."""

    def __init__(self, limits: dict[str, Any]) -> None:
        self._before = _kills() or 0
        self._most: int = limits["scratch_files"]

    def excess(self, others: Iterable[int]) -> str | None:
        """As of Inside. Not every engine can be told how many files a tmpfs may hold."""
        del others
        _, files, free = ordered.file_system(root.SCRATCH)
        if files - free > self._most:
            return f"disk limit: its scratch folder holds more than {self._most} files"
        return None

    def starved(self) -> str | None:
        """As of Inside. The count cannot be changed from inside."""
        if (_kills() or 0) > self._before:
            return "memory limit: the kernel killed a process, as the container had no memory left"
        return None


class InGvisor(Inside):
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


def _open_output(number: int, meant: list[int] | str) -> int:
    """meant: its device and inode, or what the controller has written there for us to find."""
    path = f"{OUTPUTS}/{number}"
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    if isinstance(meant, str):
        _require_same(os.fstat(descriptor), path, None)
        if os.pread(descriptor, len(meant) + 1, 0) != meant.encode():
            raise OSError(errno.ESTALE, f"{path} is not the file that it was a moment ago")
        os.ftruncate(descriptor, 0)
    else:
        _require_same(os.fstat(descriptor), path, meant)
    return descriptor


def places(spec: dict[str, Any]) -> dict[str, Any]:
    """Where this image has what a job needs, and what of it the worker may read."""
    standard = os.path.dirname(os.__file__)
    site: str = spec["site"]
    roots = ["/usr/lib", "/usr/lib64", "/lib", "/lib64", standard, site, MODULES]
    quiet = [*roots, *spec["folders"], "/dev/null", "/dev/urandom"]
    return {
        "sys_path": [standard, f"{standard}/lib-dynload", site, MODULES],
        "package": f"{site}/safe_load",
        "common": _COMMON,
        "readable": [*roots, *spec["folders"], _CPU],
        "quiet": [f"{path}/" for path in quiet],
    }


def _take_over(spec: dict[str, Any], channel: Channel) -> None:
    """See that the container is the one that was ordered, and plant what lies in it. Raises OSError."""
    if os.geteuid() != spec["container_user"]:
        raise OSError(errno.EPERM, f"the container runs as user {os.geteuid()}")
    ordered.require(spec)
    if "ro" not in ordered.mounted()["/"][1]:
        raise OSError(errno.EPERM, "the container's root can be written to")
    if not os.access(root.SCRATCH, os.W_OK):
        raise OSError(errno.EACCES, f"the container's {root.SCRATCH} cannot be written to")
    writable = [path for path in _writable() if not f"{path}/".startswith(_WRITABLE)]
    if writable:
        raise OSError(errno.EPERM, f"the container has {writable[0]} writable")
    interfaces = _interfaces()
    if interfaces != ["lo"]:
        raise OSError(errno.EPERM, f"the container has a network: {', '.join(interfaces)}")
    for target, identity in spec["files"]:
        _require_same(os.lstat(target), target, identity)
        if identity is None:
            channel.send(kind="file", path=target, sha256=_digest(target))
    for path, text in spec["planted"].items():
        root.make_file(path, text)


def _digest(path: str) -> str:
    """The SHA-256 of a file that is told from others by nothing else."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_same(status: os.stat_result, path: str, identity: list[int] | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"{path} is no regular file")
    if identity is not None and [status.st_dev, status.st_ino] != identity:
        raise OSError(errno.ESTALE, f"{path} is not the file that it was a moment ago")


def _writable() -> list[str]:
    """What is mounted so that this user can write to it."""
    return [
        path
        for path, (_, options) in ordered.mounted().items()
        if "rw" in options and os.access(path, os.W_OK)
    ]


def _interfaces() -> list[str]:
    with open("/proc/self/net/dev", encoding="ascii", errors="replace") as file:
        return [line.partition(":")[0].strip() for line in file.readlines()[2:]]
