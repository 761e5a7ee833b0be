"""Namespaces and the user mapping: namespaces(7), user_namespaces(7)."""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from safe_load.sandbox.kernel import libc

# include/uapi/linux/sched.h
FLAGS = {
    "mount-namespace": 0x00020000,
    "cgroup-namespace": 0x02000000,
    "uts-namespace": 0x04000000,
    "ipc-namespace": 0x08000000,
    "user-namespace": 0x10000000,
    "pid-namespace": 0x20000000,
    "network-namespace": 0x40000000,
}


def unshare(*names: str) -> None:
    """Leave the caller's namespaces of these names for new ones. A new pid namespace is entered by
    the next child only."""
    flags = 0
    for name in names:
        flags |= FLAGS[name]
    libc.call("unshare", flags)


def join(namespace: int, name: str) -> None:
    """Enter a namespace of that name, given as an open file of /proc/PID/ns (setns(2)). A pid
    namespace is entered by the children only; it may be the caller's own, or one below that."""
    libc.call("setns", namespace, FLAGS[name])


def map_ids(pid: int, uids: list[tuple[int, int]], gids: list[tuple[int, int]]) -> None:
    """Write the (inside, outside) ids of the new user namespace of `pid`.

    With one pair, the process may do this itself; more need CAP_SETUID in the parent namespace.
    setgroups is refused first, as an unprivileged gid_map demands (user_namespaces(7)).
    """
    _write(f"/proc/{pid}/setgroups", "deny")
    _write(f"/proc/{pid}/gid_map", "".join(f"{inside} {outside} 1\n" for inside, outside in gids))
    _write(f"/proc/{pid}/uid_map", "".join(f"{inside} {outside} 1\n" for inside, outside in uids))


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())  # the kernel takes a map in one write only
    finally:
        os.close(descriptor)


def raise_loopback() -> None:
    """Bring the lo interface of the current network namespace up (netdevice(7))."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(sock, siocgifflags, request))[1]
        fcntl.ioctl(sock, siocsifflags, struct.pack("16sH14x", b"lo", flags | iff_up))
