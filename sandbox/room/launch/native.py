"""The first process of a room: leaves the host's namespaces and starts the supervisor as pid 1.

Started by the controller as `python -I -S` with the write end of nothing but its own pipes. Reads
one order (protocol.HostOrder) from standard input; the end of standard input means that the controller
is gone, and then everything here dies.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from safe_load.sandbox import protocol
from safe_load.sandbox.kernel import namespaces, netlink, process
from safe_load.sandbox.room import programs, root, selftest, view
from safe_load.sandbox.room.monitor import supervisor
from safe_load.sandbox.room.monitor.recorder import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.sandbox.protocol import HostOrder

__all__ = ["main", "selftest"]  # selftest: imported while its file can still be seen

_INSIDE_ROOT, _INSIDE_USER = 0, 1000
_NOBODY = 65534
_REFUSALS = (
    errno.EPERM,
    errno.EACCES,
    errno.ENOSPC,
    errno.EUSERS,
    errno.EINVAL,
    errno.ENOSYS,
)
_GRACE_MS = (
    1000  # the supervisor looks at the lifeline every 25 ms, but not while modules are imported
)


def main(events: int) -> int:
    """Build the namespaces, run the supervisor in them, return when every process inside is dead."""
    process.die_with_parent()
    channel = Channel(events)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the controller died before it had said everything
        return 1
    try:
        order = protocol.read_order(protocol.HostOrder, line)
        if order.program is not None:
            programs.prepare()
            os.setsid()  # what its controller's group is sent, the controller passes on
        identity = enter_namespaces(channel.wall, separate=order.separate_user)
    except protocol.ProtocolError as error:
        channel.send(protocol.End(status="broken", reason=f"the room's order: {error}"))
        return 1
    except OSError as error:
        if is_refusal(error):
            channel.send(protocol.Refused())
        channel.send(protocol.End(status="broken", reason=explain(error)))
        return 1
    child = os.fork()
    if child == 0:
        process.die_with_parent()
        build = partial(build_inside, order, partial(root.build, order))
        ends = view.Ends(order.result, order.output, order.outputs)
        supervisor.main(order, ends, channel, identity, build)  # never returns
    channel.send(protocol.Supervisor(child))
    return see_end(child, lifeline=0)


def build_inside(order: HostOrder, build_root: Callable[[], None]) -> view.View:
    """What stands in the new namespaces: a network that leads nowhere, and the file system. Done by
    the supervisor, which is pid 1 there. Raises OSError."""
    namespaces.raise_loopback()
    if order.sinkhole:
        netlink.make_everything_local()
    socket.sethostname(root.HOSTNAME)
    build_root()
    return view.of_host(order)


def see_end(supervisor_pid: int, *, lifeline: int) -> int:
    """Wait until every process inside is dead. When the controller lets go of the lifeline, the
    supervisor ends the room; if it does not, it is killed. Returns its exit code."""
    pidfd = os.pidfd_open(supervisor_pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(lifeline, select.POLLHUP)
    if all(descriptor != pidfd for descriptor, _ in poll.poll()):
        poll.unregister(lifeline)
        if not poll.poll(_GRACE_MS):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    # The kernel reaps pid 1 only after every other process of its namespace is dead.
    _, status = os.waitpid(supervisor_pid, 0)
    os.close(pidfd)
    return os.waitstatus_to_exitcode(status) & 0xFF


def enter_namespaces(tell: Callable[..., None], *, separate: bool) -> supervisor.Identity:
    """All namespaces at once. Root gives the worker a user of its own (nobody, outside); anyone
    else has one user to map, and the worker shares it with the supervisor. tell: as Channel.wall."""
    user, group, separated = os.geteuid(), os.getegid(), False
    before = inodes()
    if user == 0 and separate:
        with suppress(PermissionError):  # a root that may not is in a user namespace of its own
            os.setgroups([])  # while it can be done: the worker shall be in none of root's groups
        separated = _unshare_with_helper()
    if not separated:
        if os.readlink("/proc/self/ns/user") and _inode("user") == before["user-namespace"]:
            namespaces.unshare("user-namespace")
        namespaces.map_ids(os.getpid(), [(_INSIDE_USER, user)], [(_INSIDE_USER, group)])
    namespaces.unshare(*(name for name in namespaces.FLAGS if name != "user-namespace"))
    whose = f"worker is user {_NOBODY if separated else user} outside, without rights"
    tell_namespaces(tell, before, whose)
    return supervisor.Identity(separated=separated, outer_pid_namespace=before["pid-namespace"])


_KINDS = {
    "user-namespace": "user",
    "mount-namespace": "mnt",
    "network-namespace": "net",
    "pid-namespace": "pid",
    "ipc-namespace": "ipc",
    "uts-namespace": "uts",
    "cgroup-namespace": "cgroup",
}


def inodes() -> dict[str, str]:
    """Which namespaces this process is in."""
    return {name: _inode(kind) for name, kind in _KINDS.items()}


def tell_namespaces(tell: Callable[..., None], before: dict[str, str], whose: str) -> None:
    """Which namespaces differ from those before. Not the pid namespace, which only a child enters:
    the supervisor tells of it."""
    for name, now in inodes().items():
        if name != "pid-namespace":
            tell(name, now != before[name], whose if name == "user-namespace" else "")


def _inode(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def _unshare_with_helper() -> bool:
    """Enter a user namespace with two users. The map must be written from outside it, by a child
    that stays behind (user_namespaces(7)). False if this root may not map nobody."""
    ready_read, ready_write = os.pipe()
    target = os.getpid()
    helper = os.fork()
    if helper == 0:
        code = 1
        try:
            os.close(ready_write)
            if os.read(ready_read, 1):
                pairs = [(_INSIDE_ROOT, 0), (_INSIDE_USER, _NOBODY)]
                namespaces.map_ids(target, pairs, pairs)
                code = 0
        except OSError:
            code = 1
        finally:
            os._exit(code)
    os.close(ready_read)
    namespaces.unshare("user-namespace")
    os.write(ready_write, b"!")
    os.close(ready_write)
    _, status = os.waitpid(helper, 0)
    return status == 0


def is_refusal(error: OSError) -> bool:
    """Whether namespaces cannot be made here at all: forbidden, switched off or unknown
    (unshare(2), user_namespaces(7)). Nothing else leads to tier B."""
    return error.errno in _REFUSALS


def explain(error: OSError) -> str:
    return (
        f"permission denied: {'root' if os.geteuid() == 0 else 'an ordinary user'} cannot create "
        f"namespaces on this machine ({error}); run `safe-load doctor` to see which setting forbids it"
    )
