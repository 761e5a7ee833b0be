"""What one process gives up: capabilities(7), prctl(2), setrlimit(2)."""

from __future__ import annotations

import errno
import os
import resource
import signal
import struct

from safe_load.sandbox.kernel import libc

CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL = 0, 1, 2, 5
CAP_SETGID, CAP_SETUID, CAP_SETPCAP = 6, 7, 8
CAP_NET_BIND_SERVICE = 10
CAP_SYS_PTRACE = 19

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_CAPABILITY_VERSION_3 = 0x20080522


def no_new_privileges() -> None:
    """No execve may grant anything from here on (no_new_privs)."""
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def bound_capabilities(*kept: int, demanded: bool = True) -> None:
    """Drop every capability but `kept` from the bounding set, so that none can ever come back. Needs
    CAP_SETPCAP if there is anything to drop: before the user is changed. Without it PermissionError
    is raised, or, if it is not demanded, nothing is done."""
    for capability in range(64):
        try:
            if capability not in kept and libc.prctl(_PR_CAPBSET_READ, capability):
                libc.prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == errno.EINVAL:  # past the last one that this kernel has
                return
            if error.errno == errno.EPERM and not demanded:
                return
            raise


def holds_capabilities(*wanted: int) -> bool:
    """Whether all of these are in this process's effective set (proc_pid_status(5))."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        held = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    return all(held >> capability & 1 for capability in wanted)


def hold_capabilities(*kept: int) -> None:
    """Drop every capability but `kept` from the permitted, effective and ambient sets."""
    try:
        libc.prctl(_PR_CAP_AMBIENT, 4)  # PR_CAP_AMBIENT_CLEAR_ALL
    except OSError as error:
        if error.errno != errno.EINVAL:  # a kernel that has no such set, as gVisor's
            raise
    mask = 0
    for capability in kept:
        mask |= 1 << capability
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    libc.syscall("capset", header, struct.pack("=IIIIII", low, low, 0, high, high, 0))


def dumpable(*, on: bool) -> None:
    """Whether others with the same user may read this process's memory and descriptors."""
    libc.prctl(_PR_SET_DUMPABLE, int(on))


def die_with_parent() -> None:
    """SIGKILL this process when the thread that started it ends."""
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def offer_to_oom_killer() -> None:
    """Let this process, and its children, be the first to go where memory runs out
    (proc_pid_oom_score_adj(5)). Needs no right, and /proc writable. Raises OSError."""
    descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    try:
        os.write(descriptor, b"1000")
    finally:
        os.close(descriptor)


def become_subreaper() -> None:
    """Orphaned descendants become this process's children (PR_SET_CHILD_SUBREAPER)."""
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """The name that ps and the recorder show, 15 bytes at most."""
    libc.call("prctl", _PR_SET_NAME, name.encode()[:15] + b"\0")


def limit(name: str, value: int) -> None:
    """Set both the soft and the hard limit, never above the hard one that stands."""
    which = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    if resource.getrlimit(which) == (value, value):
        return
    resource.setrlimit(which, (value, value))


def getfd(pidfd: int, number: int) -> int:
    """A copy of another process's descriptor (pidfd_getfd(2)); needs ptrace rights over it."""
    return libc.syscall("pidfd_getfd", pidfd, number, 0)
