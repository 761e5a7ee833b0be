"""What an engine was told to build round a container, looked at from inside it.

Zone: supervisor. An engine may drop an option that it does not know, or cannot carry out, and say
nothing: no promise rests on its having been told.
"""

from __future__ import annotations

import errno
import mmap
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from safe_load.sandbox.kernel import seccomp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from safe_load.sandbox.protocol import ContainerOrder

_INERT = frozenset(("nosuid", "nodev", "noexec"))
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
#: Limit -> where version 2 of cgroups shows it, then version 1, and in the controller's own folder.
_LIMITS = {
    "memory": ("memory.max", "memory/memory.limit_in_bytes"),
    "tasks": ("pids.max", "pids/pids.max"),
}
_CGROUPS = "/sys/fs/cgroup"


def require(order: ContainerOrder) -> None:
    """See that nobody here has a right, and that what bounds the room's files does. Raises OSError."""
    linux = order.containment.kernel == "linux"
    status = _status()
    held = [name for name in _CAPABILITIES if int(status.get(name, "0"), 16)]
    if held:
        raise OSError(errno.EPERM, f"the container has capabilities ({held[0]} {status[held[0]]})")
    strangers = set(os.getgroups()) - {os.getegid()}
    if strangers:
        raise OSError(errno.EPERM, f"the container's user is also in the group {min(strangers)}")
    if linux:  # gVisor shows neither, and its container has no filter
        if status.get("NoNewPrivs") != "1":
            raise OSError(errno.EPERM, "the container runs without no-new-privileges")
        if status.get("Seccomp") != "2" or not seccomp.is_contained():
            raise OSError(errno.EPERM, "the container runs without the seccomp filter of safe-load")
    found = mounted()
    inert = _INERT if linux else {"noexec"}  # gVisor shows no others
    for path, size in order.tmpfs.items():
        kind, options = found.get(path, ("no file system of its own", frozenset()))
        if kind != "tmpfs":
            raise OSError(errno.EINVAL, f"the container's {path} is {kind}, not a tmpfs")
        if lacking := ", ".join(sorted(inert - options)):
            raise OSError(errno.EPERM, f"the container's {path} is mounted without {lacking}")
        most = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        if not 0 < file_system(path)[0] <= most:
            raise OSError(errno.EFBIG, f"the container's {path} may grow beyond {most} bytes")


def tell_limits(tell: Callable[..., None], order: ContainerOrder) -> None:
    """Which limits of its control group can be seen to stand. tell: as Channel.wall."""
    for name, files in _LIMITS.items():
        ordered = order.memory if name == "memory" else order.tasks
        found = _limit(files)
        amount = f"{ordered >> 20} MiB" if name == "memory" else str(ordered)
        stands = found is not None and found <= ordered
        tell(f"cgroup-{name}", stands, f"{amount}, including what the supervisor needs")


def _limit(files: Iterable[str]) -> int | None:
    """None where there is none, or where it cannot be seen."""
    for name in files:
        with suppress(OSError), open(f"{_CGROUPS}/{name}", encoding="ascii") as file:
            text = file.read(32).strip()
            return int(text) if text.isdecimal() else None
    return None


def _status() -> dict[str, str]:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        fields = (line.partition(":") for line in file)
        return {name: value.strip() for name, _, value in fields}


def mounted() -> dict[str, tuple[str, frozenset[str]]]:
    """Where something is mounted: the kind of what lies on top, and its options
    (proc_pid_mountinfo(5))."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            words = fields.split(" ")
            found[words[4]] = rest.split(" ")[0], frozenset(words[5].split(","))
    return found


def file_system(path: str) -> tuple[int, int, int]:
    """(bytes, files, files that may still be made) of the file system there; 0 where it has no limit."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstatvfs(descriptor)  # fstatfs(2), which the container's filter allows
    finally:
        os.close(descriptor)
    return found.f_blocks * found.f_frsize, found.f_files, found.f_ffree
