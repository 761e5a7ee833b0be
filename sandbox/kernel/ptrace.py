"""ptrace(2) in the place of seccomp notifications, for kernels that have none (gVisor's).

A filter that answers SECCOMP_RET_TRACE stops the caller. The tracer reads its registers, and lets
the call go on or puts a result in its place. Every task must be traced before it can make such a
call: new ones are from their first instruction on, as long as the filter refuses CLONE_UNTRACED.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
from collections import deque

from safe_load.sandbox.kernel import libc
from safe_load.sandbox.kernel.seccomp import Notification

_POKE, _CONT, _GETREGS, _SETREGS, _SEIZE, _LISTEN = 5, 7, 12, 13, 0x4206, 0x4208
_TRACE_FORK, _TRACE_VFORK, _TRACE_CLONE, _TRACE_SECCOMP = 1 << 1, 1 << 2, 1 << 3, 1 << 7
_EXIT_KILL = 1 << 20  # when the tracer dies, so do they
_OPTIONS = _TRACE_FORK | _TRACE_VFORK | _TRACE_CLONE | _TRACE_SECCOMP | _EXIT_KILL
_EVENT_SECCOMP, _EVENT_STOP = 7, 128
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_WALL = 0x40000000  # wait4(2): threads too
# struct user_regs_struct of x86-64 (sys/user.h): 27 words.
_REGISTERS = struct.Struct("=27Q")
_RESULT, _NUMBER, _STACK = 10, 15, 19  # rax, orig_rax, rsp
_BELOW_STACK = 1024  # past the red zone, which is the function's own
_ARGUMENTS = (14, 13, 12, 7, 9, 8)  # rdi, rsi, rdx, r10, r8, r9
_WORD = (1 << 64) - 1


class Tracer:
    """Answers the calls of one process and of all that come from it; see seccomp.Listener.

    It takes the end of every child, as waiting for stops and for ends is one. `descriptor` can be
    read when there is something to receive or somebody has ended.
    """

    synchronous = True

    def __init__(self, process: int) -> None:
        """Trace that child, which has one thread and no filter yet. Raises OSError."""
        if platform.machine() != "x86_64":
            raise OSError(errno.ENOSYS, f"no tracer for {platform.machine()}")
        self._process = process
        self._stopped: deque[tuple[int, list[int]]] = deque()
        self._waiting: dict[int, list[int]] = {}
        self._end: int | None = None
        self.descriptor, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)
        _ptrace(_SEIZE, process, _OPTIONS)

    def receive(self) -> Notification | None:
        """The next waiting call, or None. Never blocks."""
        if not self._stopped:
            self._collect()
        if not self._stopped:
            return None
        task, registers = self._stopped.popleft()
        if self._stopped:
            self._ring()
        self._waiting[task] = registers
        number = registers[_NUMBER] & 0xFFFFFFFF
        first, second, third, fourth, fifth, sixth = (registers[place] for place in _ARGUMENTS)
        return Notification(task, task, number, (first, second, third, fourth, fifth, sixth))

    def still_waits(self, notification: Notification) -> bool:
        """Always: a stopped task does not go on, and its number is taken until its end is."""
        return notification.id in self._waiting

    def resume(self, notification: Notification) -> None:
        """Let the kernel carry the call out, with what is in the caller's memory by then."""
        self._waiting.pop(notification.id, None)
        _quietly(_CONT, notification.id)

    def refuse(self, notification: Notification, number: int) -> None:
        """The call fails with that errno and is not carried out."""
        self.emulate(notification, -number)

    def emulate(self, notification: Notification, value: int) -> None:
        """The call returns `value` and is not carried out."""
        registers = self._waiting.pop(notification.id)
        registers[_NUMBER] = _WORD  # no call has this number: it is skipped (seccomp(2))
        registers[_RESULT] = value & _WORD
        raw = ctypes.create_string_buffer(_REGISTERS.pack(*registers), _REGISTERS.size)
        try:
            _ptrace(_SETREGS, notification.id, ctypes.addressof(raw))
        except OSError as failure:
            if failure.errno != errno.ESRCH:  # killed meanwhile
                raise
        else:
            _quietly(_CONT, notification.id)

    def put(self, notification: Notification, data: bytes) -> int:
        """Put something where only the caller's thread looks: below its stack. Returns the address.
        Raises OSError."""
        top = self._waiting[notification.id][_STACK] - _BELOW_STACK
        address = (top - len(data)) & ~0xF
        padded = data + bytes(-len(data) % 8)
        for at in range(0, len(padded), 8):
            (word,) = struct.unpack_from("=q", padded, at)
            libc.syscall("ptrace", _POKE, notification.id, address + at, word)
        return address

    def amend(self, notification: Notification, arguments: dict[int, int]) -> None:
        """Let the kernel carry the call out with these registers changed. Raises OSError."""
        registers = self._waiting[notification.id]
        for index, value in arguments.items():
            registers[_ARGUMENTS[index]] = value
        raw = ctypes.create_string_buffer(_REGISTERS.pack(*registers), _REGISTERS.size)
        _ptrace(_SETREGS, notification.id, ctypes.addressof(raw))

    def ended(self) -> int | None:
        """The process's wait status when it has ended: said once."""
        self._collect()
        end, self._end = self._end, None
        return end

    def _collect(self) -> None:
        """Take every stop and every end; answer those that are nobody's business."""
        while True:
            try:
                if not os.read(self.descriptor, 4096):
                    break
            except BlockingIOError:
                break
        while True:
            try:
                task, status = os.waitpid(-1, os.WNOHANG | _WALL)
            except ChildProcessError:
                break
            if task == 0:
                break
            if not os.WIFSTOPPED(status):
                # Its number may be another's soon.
                self._stopped = deque(each for each in self._stopped if each[0] != task)
                if task == self._process:
                    self._end = status
            else:
                self._take(task, os.WSTOPSIG(status), status >> 16)
        if self._stopped:
            self._ring()

    def _take(self, task: int, number: int, event: int) -> None:
        if event == _EVENT_SECCOMP:
            raw = ctypes.create_string_buffer(_REGISTERS.size)
            try:
                _ptrace(_GETREGS, task, ctypes.addressof(raw))
            except OSError as failure:
                if failure.errno != errno.ESRCH:
                    raise
                return
            self._stopped.append((task, list(_REGISTERS.unpack(raw.raw))))
        elif event == _EVENT_STOP and number in _STOPS:
            _quietly(_LISTEN, task)  # it is stopped, and stays so until SIGCONT
        elif event:
            _quietly(_CONT, task)
        else:
            _quietly(_CONT, task, number)  # a signal on its way

    def _ring(self) -> None:
        try:
            os.write(self._bell, b"!")
        except BlockingIOError:  # it rings already
            return


def _ptrace(request: int, task: int, data: int = 0) -> None:
    libc.syscall("ptrace", request, task, 0, data)


def _quietly(request: int, task: int, data: int = 0) -> None:
    """For a task that may have been killed meanwhile: only SIGKILL ends a stopped one."""
    try:
        _ptrace(request, task, data)
    except OSError as failure:
        if failure.errno != errno.ESRCH:
            raise
