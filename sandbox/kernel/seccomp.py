"""seccomp(2): install a filter with a listener, and answer its notifications (seccomp_unotify(2))."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from contextlib import suppress
from typing import NamedTuple

from safe_load.sandbox.kernel import libc

_SET_MODE_FILTER = 1
_FLAG_NEW_LISTENER = 1 << 3
_FLAG_WAIT_KILLABLE_RECV = 1 << 5  # Linux 5.19

# _IOWR('!', 0, struct seccomp_notif) and so on, include/uapi/linux/seccomp.h
_IOCTL_RECV = 0xC0502100
_IOCTL_SEND = 0xC0182101
_IOCTL_ID_VALID = 0x40082102
_IOCTL_ADDFD = 0x40182103
_IOCTL_SET_FLAGS = 0x40082104
_SYNC_WAKE_UP = 1  # Linux 6.6: run the supervisor on the same core, 4 times faster
_CONTINUE = 1

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_EMPTY = bytes(_NOTIFICATION.size)


def install(program: bytes, *, notified: bool = True) -> int:
    """Install a classic BPF program (struct sock_filter[]) on this thread; return the listener, or 0
    where its calls are not notified but traced (ptrace.Tracer).

    The process must have one thread and no_new_privs. Raises OSError; EBUSY when a listener stands
    above already, as a chain of filters has one at most.
    """

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    argument = Program(len(program) // 8, program)
    raw = ctypes.string_at(ctypes.addressof(argument), ctypes.sizeof(argument))
    if not notified:
        return libc.syscall("seccomp", _SET_MODE_FILTER, 0, raw)
    try:
        return libc.syscall(
            "seccomp", _SET_MODE_FILTER, _FLAG_NEW_LISTENER | _FLAG_WAIT_KILLABLE_RECV, raw
        )
    except OSError as error:
        if error.errno == errno.EBUSY:
            said = "another sandbox outside of safe-load already listens to system calls, and the kernel allows one listener"
            raise OSError(errno.EBUSY, said) from error
        if error.errno != errno.EINVAL:
            raise
        return libc.syscall("seccomp", _SET_MODE_FILTER, _FLAG_NEW_LISTENER, raw)


def is_contained() -> bool:
    """Whether the filter of a whole container (policy.container_filter) stands over this process. What
    is asked for is harmless, on every kernel, refused by that filter in its own way, and let through
    by those that engines have of their own."""
    try:
        os.close(libc.syscall("inotify_init1", os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.ENOSYS
    return False


class Notification(NamedTuple):
    """A system call that waits for an answer. pid: of the thread, as the listener's holder sees it;
    args: the six registers, 64 bits each: an int argument may carry garbage in its upper half."""

    id: int
    pid: int
    number: int
    args: tuple[int, int, int, int, int, int]


class Listener:
    """The supervisor's end of a filter."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.synchronous = self._set_synchronous()

    def _set_synchronous(self) -> bool:
        try:
            # A by-value argument: fcntl.ioctl passes a bare int as such.
            fcntl.ioctl(self.descriptor, _IOCTL_SET_FLAGS, _SYNC_WAKE_UP)
        except OSError:
            return False
        return True

    def receive(self) -> Notification | None:
        """The next waiting call, or None when its thread died meanwhile. Blocks if there is none:
        poll the descriptor first."""
        try:
            raw = fcntl.ioctl(self.descriptor, _IOCTL_RECV, _EMPTY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        ident, pid, _flags, number, _arch, _ip, *args = _NOTIFICATION.unpack(raw)
        return Notification(ident, pid, number, tuple(args))

    def still_waits(self, notification: Notification) -> bool:
        """Whether the call still waits, so that its pid still means the same process."""
        try:
            fcntl.ioctl(self.descriptor, _IOCTL_ID_VALID, struct.pack("=Q", notification.id))
        except OSError:
            return False
        return True

    def resume(self, notification: Notification) -> None:
        """Let the kernel carry the call out. Never a security decision: see seccomp_unotify(2)."""
        self._answer(notification, 0, 0, _CONTINUE)

    def refuse(self, notification: Notification, number: int) -> None:
        """The call fails with that errno and is not carried out."""
        self._answer(notification, 0, -number, 0)

    def give(self, notification: Notification, descriptor: int, *, inheritable: bool) -> int:
        """Put a copy of our descriptor into the caller's process; returns its number there. Raises
        OSError, also when the caller has no number left."""
        flags = 0 if inheritable else os.O_CLOEXEC
        request = struct.pack("=QIIII", notification.id, 0, descriptor, 0, flags)
        return int(fcntl.ioctl(self.descriptor, _IOCTL_ADDFD, bytearray(request), True))

    def emulate(self, notification: Notification, value: int) -> None:
        """The call returns `value` and is not carried out."""
        self._answer(notification, value, 0, 0)

    def _answer(self, notification: Notification, value: int, error: int, flags: int) -> None:
        try:
            fcntl.ioctl(
                self.descriptor, _IOCTL_SEND, _ANSWER.pack(notification.id, value, error, flags)
            )
        except OSError as failure:
            if failure.errno != errno.ENOENT:  # the thread died: nobody waits any more
                raise


class Memory:
    """Another process's memory, read with bounds; never raises for what the other side did.

    It stays that process's whoever has its number later."""

    def __init__(self, proc: str, pid: int) -> None:
        self._pid = pid
        try:
            self._descriptor = os.open(f"{proc}/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # gVisor shows it for reading
            self._descriptor = os.open(f"{proc}/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._descriptor)

    def read(self, address: int, size: int) -> bytes:
        """Up to `size` bytes; fewer where pages end, b"" where nothing is mapped."""
        if not 0 < address < 1 << 63:
            return b""
        try:
            return os.pread(self._descriptor, size, address)
        except (OSError, OverflowError):
            return b""

    def write(self, address: int, data: bytes) -> None:
        """Put a result where the caller expects it; silent if it cannot. By process_vm_writev(2) only
        where the kernel has no better, as the filter of an engine may know nothing of that."""
        try:
            os.pwrite(self._descriptor, data, address)
        except OverflowError:
            return
        except OSError as error:
            if error.errno == errno.EBADF:  # not open for writing
                self._write_by_number(address, data)

    def _write_by_number(self, address: int, data: bytes) -> None:
        source = ctypes.create_string_buffer(data, len(data))
        ours = struct.pack("=QQ", ctypes.addressof(source), len(data))
        theirs = struct.pack("=QQ", address, len(data))
        with suppress(OSError):
            libc.syscall("process_vm_writev", self._pid, ours, 1, theirs, 1, 0)

    def string(self, address: int, limit: int = 4096) -> bytes | None:
        """The C string at `address`, cut at `limit` bytes; None if it cannot be read.

        Read page by page: a string may end just before an unmapped page."""
        if address == 0:
            return None
        parts: list[bytes] = []
        taken = 0
        while taken < limit:
            step = min(4096 - (address & 4095), limit - taken, 256 if taken == 0 else 4096)
            chunk = self.read(address, step)
            if not chunk:
                return b"".join(parts) if parts else None
            head, found, _ = chunk.partition(b"\0")
            parts.append(head)
            if found:
                break
            taken += len(chunk)
            address += len(chunk)
        return b"".join(parts)
