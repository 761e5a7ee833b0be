"""Whether a call goes on that the filter has notified: the profile's policy, call by call.

What is let go on is carried out by the kernel, which reads the caller's memory again by then. So
nothing that must not happen hangs on what was read there: registers decide, which cannot change.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from safe_load.sandbox.room.monitor.caller import process_of
from safe_load.sandbox.room.monitor.decode import signed

if TYPE_CHECKING:
    from safe_load.sandbox.kernel.seccomp import Notification
    from safe_load.sandbox.protocol import Decision, Order
    from safe_load.sandbox.room.monitor.watch import Watch

_BIRTHS = frozenset(("clone", "fork", "vfork"))
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*, as the seccomp profile has it
_CLONE_FILES, _CLONE_THREAD = 0x400, 0x10000  # clone(2)
_SIGNALS = frozenset(("kill", "tkill", "tgkill", "rt_sigqueueinfo"))
_OF_IP = (int(socket.AF_INET), int(socket.AF_INET6))
_KINDS = (int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM))
_PROTOCOLS = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP)


class Answer(NamedTuple):
    """What a notified call meets. decision: as the record has it; error: the errno that the call fails
    with, if not 0; value: what it returns without being carried out; None: the kernel carries it
    out; told: whether the record tells of it, and does not only count it."""

    decision: Decision
    error: int = 0
    value: int | None = None
    recorded: bool = True


_ALLOWED = Answer("allowed")
_COUNTED = Answer("allowed", recorded=False)


class Decisions:
    """Of one room. quiet: below which folders reading is what every load does; watch: who grants births
    that no limit of the kernel's bounds."""

    def __init__(self, order: Order, quiet: tuple[str, ...], watch: Watch) -> None:
        self._watch = watch
        self._grants = not order.containment.tasks
        self._gvisor = order.containment.kernel == "gvisor"
        self._audited = order.policy.audited
        self._errnos = order.policy.errnos
        self._traced = order.policy.traced
        self._quiet = quiet

    def decide(self, name: str, call: Notification, args: dict[str, Any]) -> Answer:
        """args: as decoded; what cannot be read is not there."""
        birth = self._grants and name in _BIRTHS
        if birth and self._may_be_born(name, call):
            return _COUNTED
        if name in self._audited and self._permits(name, call, args):
            return _COUNTED if self._is_ordinary(name, args) else _ALLOWED
        if self._is_traced(name, call.args):
            return _COUNTED
        if birth and not _makes_namespace(name, call):
            return Answer("denied", errno.EAGAIN)
        return Answer("denied", self._errnos.get(name, errno.EPERM))

    def _may_be_born(self, name: str, call: Notification) -> bool:
        """Whether one task more is let be. Notified where nobody but us can count the tree, and look
        at what it holds: a thread has no descriptors but its process's."""
        flags = call.args[0] if name == "clone" else 0
        hides = flags & _CLONE_THREAD and not flags & _CLONE_FILES
        return not (hides or _makes_namespace(name, call)) and self._watch.grant_task()

    def _permits(self, name: str, call: Notification, args: dict[str, Any]) -> bool:
        """Whether a telling call is continued. What hangs on memory (sendmsg's destination) is held
        by the network namespace, which leads nowhere, or by there being no socket that takes one."""
        registers = call.args
        if name == "socket":
            return is_socket_of_ours(registers)
        if name in _SIGNALS:  # only notified where Landlock does not hold them
            target = signed(registers[0])
            if self._gvisor:
                return target not in (1, -1)  # not us, whom it would not spare, nor all
            return target == (call.pid if name == "tkill" else process_of(call.pid))
        if name == "sendto":
            return registers[4] == 0
        if name in ("sendmsg", "sendmmsg"):
            return "address" not in args.get("message", {"address": None})
        return True

    def _is_traced(self, name: str, registers: tuple[int, ...]) -> bool:
        """Whether the filter would have allowed this call, and let it be notified for the trace."""
        return any(
            all(registers[index] & mask == value for index, mask, value in conditions)
            for conditions in self._traced.get(name, ())
        )

    def _is_ordinary(self, name: str, args: dict[str, Any]) -> bool:
        """Reading the runtime or the model itself: what every load does, thousands of times."""
        if not name.startswith("open") or any(
            flag in args.get("flags", "O_RDWR") for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")
        ):
            return False
        path = args.get("path")
        return isinstance(path, str) and (path + "/").startswith(self._quiet)


def is_socket_of_ours(registers: tuple[int, ...]) -> bool:
    """Whether socket(2) asks for one that the room has: of IP, or AF_UNIX."""
    family, kind, protocol = (register & 0xFFFFFFFF for register in registers[:3])
    if family == socket.AF_UNIX:
        return True
    return family in _OF_IP and kind & 0xF in _KINDS and protocol in _PROTOCOLS


def _makes_namespace(name: str, call: Notification) -> bool:
    return name == "clone" and bool(call.args[0] & _NEW_NAMESPACES)
