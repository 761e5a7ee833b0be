"""Advisory locks: taken in the caller's place on files of the room's own, and on no others.

The model's files and the host's libraries are shared with the host and with other rooms: a lock on one
is a lock there too. What a descriptor leads to can change while its number is looked at, so nothing is
let go on: the supervisor takes a duplicate, looks where that one leads, and locks it. A lock of flock(2)
belongs to the open file, which both share. One of F_SETLK belongs to a process, so an open file's lock
(F_OFD_SETLK) stands for it, which excludes the same others.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING

from safe_load.sandbox.kernel.process import getfd
from safe_load.sandbox.room import root
from safe_load.sandbox.room.monitor.caller import process_of
from safe_load.sandbox.room.monitor.decisions import Answer
from safe_load.sandbox.room.monitor.decode import signed
from safe_load.sandbox.room.process_tree import PROC

if TYPE_CHECKING:
    from safe_load.sandbox.kernel.seccomp import Notification
    from safe_load.sandbox.room.monitor.caller import Caller

_OFD_SETLK = 37  # fcntl(2), which Python names since 3.9 only where the C library does
_FLOCK = struct.Struct("=hh4xqqi4x")  # struct flock: type, whence, start, length, pid
_REFUSED = Answer("denied", errno.ENOLCK)
_TAKEN = Answer("allowed", value=0, recorded=False)


class Locks:
    """Of one room. prefix: the folder that stands for `/` there, "" where it is `/`."""

    def __init__(self, prefix: str) -> None:
        self._scratch = f"{prefix}{root.SCRATCH}/"

    def take(self, name: str, call: Notification, caller: Caller) -> Answer | None:
        """Carry a lock out, or refuse it; None: the call is none."""
        command = signed(call.args[1])
        if name != "flock" and not (name == "fcntl" and command in (fcntl.F_SETLK, fcntl.F_SETLKW)):
            return None
        try:
            pidfd = os.pidfd_open(process_of(call.pid))
            try:
                descriptor = getfd(pidfd, signed(call.args[0]))
            finally:
                os.close(pidfd)
        except OSError:
            return _REFUSED
        try:
            if not os.readlink(f"{PROC}/self/fd/{descriptor}").startswith(self._scratch):
                return _REFUSED
            return _lock(name, command, descriptor, call, caller)
        finally:
            os.close(descriptor)


def _lock(name: str, command: int, descriptor: int, call: Notification, caller: Caller) -> Answer:
    """Lock that file, without waiting: who would wait is told that a signal came, and asks again."""
    waits = command == fcntl.F_SETLKW if name == "fcntl" else not command & fcntl.LOCK_NB
    try:
        if name == "flock":
            fcntl.flock(descriptor, command | fcntl.LOCK_NB)
        else:
            raw = caller.memory.read(call.args[2], _FLOCK.size)
            if len(raw) < _FLOCK.size:
                return Answer("allowed", errno.EFAULT, recorded=False)
            kind, whence, start, length, _ = _FLOCK.unpack(raw)
            fcntl.fcntl(descriptor, _OFD_SETLK, _FLOCK.pack(kind, whence, start, length, 0))
    except OSError as error:
        number = error.errno or errno.ENOLCK
        if waits and number in (errno.EAGAIN, errno.EACCES):
            number = errno.EINTR
        return Answer("allowed", number, recorded=False)
    return _TAKEN
