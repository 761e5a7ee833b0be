"""The first process of a room: leaves the host's namespaces and starts the supervisor as pid 1.

Started by the controller as `python -I -S` with the write end of nothing but its own pipes. Reads
one specification (JSON) from standard input; the end of standard input means that the controller
is gone, and then everything here dies.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from safe_load.sandbox.kernel import namespaces, process
from safe_load.sandbox.room import selftest, supervisor
from safe_load.sandbox.room.recorder import Channel

__all__ = ["main", "selftest"]  # selftest: imported while its file can still be seen

_INSIDE_ROOT, _INSIDE_USER = 0, 1000
_NOBODY = 65534


def main(events: int) -> int:
    """Build the namespaces, run the supervisor in them, return when every process inside is dead."""
    process.die_with_parent()
    channel = Channel(events)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):  # the controller died before it had said everything
        return 1
    spec: dict[str, Any] = json.loads(line)
    try:
        identity = _enter_namespaces(channel, separate=bool(spec["separate_user"]))
    except OSError as error:
        channel.send(kind="end", status="broken", reason=_explain(error))
        return 1
    child = os.fork()
    if child == 0:
        process.die_with_parent()
        supervisor.main(spec, channel, identity)  # never returns
    channel.send(kind="supervisor", pid=child)
    # The kernel reaps pid 1 only after every other process of its namespace is dead.
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


def _enter_namespaces(channel: Channel, *, separate: bool) -> supervisor.Identity:
    """All namespaces at once. Root gives the worker a user of its own (nobody, outside); anyone
    else has one user to map, and the worker shares it with the supervisor."""
    user, group, separated = os.geteuid(), os.getegid(), False
    before = {name: _inode(kind) for name, kind in _KINDS.items()}
    if user == 0 and separate:
        separated = _unshare_with_helper()
    if not separated:
        if os.readlink("/proc/self/ns/user") and _inode("user") == before["user-namespace"]:
            namespaces.unshare("user-namespace")
        namespaces.map_ids(os.getpid(), [(_INSIDE_USER, user)], [(_INSIDE_USER, group)])
    namespaces.unshare(*(name for name in namespaces.FLAGS if name != "user-namespace"))
    for name, kind in _KINDS.items():
        if name == "pid-namespace":
            continue  # entered by the child only: the supervisor reports it
        stands = _inode(kind) != before[name]
        detail = ""
        if name == "user-namespace":
            detail = f"worker is user {_NOBODY if separated else user} outside, without rights"
        channel.wall(name, stands, detail)
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


def _explain(error: OSError) -> str:
    return (
        f"this machine does not let {'root' if os.geteuid() == 0 else 'an ordinary user'} create "
        f"namespaces ({error}); run `safe-load doctor` to see which setting forbids it"
    )


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main(int(sys.argv[1])))
