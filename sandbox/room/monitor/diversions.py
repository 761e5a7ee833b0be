"""Calls that are carried out in the caller's place, or towards another end than they name.

With a sinkhole, whatever reaches an IP address is led there. Where the cell stands alone, the worker
gets the end of a pair for each socket that it asks for, and the modes of its scratch files stay.
"""

from __future__ import annotations

import errno
import socket
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.kernel.ptrace import Tracer
from safe_load.sandbox.kernel.seccomp import Listener
from safe_load.sandbox.room import root
from safe_load.sandbox.room.monitor.caller import parent_and_name, process_of
from safe_load.sandbox.room.monitor.decisions import Answer, is_socket_of_ours
from safe_load.sandbox.room.monitor.decode import gathered, signed, socket_type
from safe_load.sandbox.room.monitor.pairs import Pairs
from safe_load.sandbox.room.monitor.redirect_ptrace import redirect
from safe_load.sandbox.room.monitor.sinkhole import Sinkhole

if TYPE_CHECKING:
    import select
    from collections.abc import Callable

    from safe_load.sandbox.kernel.seccomp import Notification
    from safe_load.sandbox.protocol import Egress, Order
    from safe_load.sandbox.room.monitor.caller import Caller
    from safe_load.sandbox.room.monitor.gate import Gate

_REACHING = frozenset(("connect", "sendto", "sendmsg", "sendmmsg"))
_MESSAGES = ("sendmsg", "sendmmsg")
_LARGEST_SEND = 64 << 10
_MMSGHDR_LENGTH = 56  # struct mmsghdr: a struct msghdr, then how much of it was sent (sendmmsg(2))
#: Of setsockopt(2): those of a socket of IP, which a pair takes none of.
_LEVELS = (socket.IPPROTO_IP, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_IPV6)
#: Calls that change what a file is and not what it holds.
_OF_SCRATCH = frozenset(
    "chmod fchmodat fchmodat2 chown lchown fchownat utime utimes utimensat futimesat".split()
)
_SCRATCH = f"{root.SCRATCH}/"


class Diversions(ABC):
    """Of one room: what is made of the calls that reach out. `choose` says which kind a room has."""

    @abstractmethod
    def divert(
        self, name: str, call: Notification, caller: Caller, args: dict[str, Any]
    ) -> Answer | None:
        """Carry a call out; None: not such a call. `args` learn what is found on the way."""

    @abstractmethod
    def ready(self, descriptor: int) -> None:
        """Attend to a readable descriptor, if it is one of these."""

    @abstractmethod
    def tick(self, *, final: bool = False) -> None:
        """As Sinkhole's."""


def choose(
    order: Order,
    listener: Listener | Tracer,
    poll: select.poll,
    tell: Callable[[Egress], None],
    gate: Gate | None = None,
) -> Diversions:
    """The one mechanism that this room has. poll: the supervisor's; tell: called once for each
    conversation; gate: of a program's room."""
    holds = order.containment
    if not holds.namespaces:
        return Paired(Pairs(poll, tell), listener, takes=order.sinkhole)
    if not order.sinkhole:
        return Undiverted()
    sinkhole = Sinkhole(poll, tell, routed=holds.routes, gate=gate)
    if isinstance(listener, Tracer) and holds.kernel == "gvisor":
        return Amended(sinkhole, listener)
    return Borrowed(sinkhole)


class Undiverted(Diversions):
    """Nothing is: what reaches out is refused."""

    def divert(
        self, name: str, call: Notification, caller: Caller, args: dict[str, Any]
    ) -> Answer | None:
        del name, call, caller, args
        return None

    def ready(self, descriptor: int) -> None:
        del descriptor

    def tick(self, *, final: bool = False) -> None:
        del final


class _Sunk(Diversions):
    """What reaches an address of IP ends in a sinkhole."""

    def __init__(self, sinkhole: Sinkhole) -> None:
        self._sinkhole = sinkhole

    def ready(self, descriptor: int) -> None:
        self._sinkhole.ready(descriptor)

    def tick(self, *, final: bool = False) -> None:
        self._sinkhole.tick(final=final)

    def divert(
        self, name: str, call: Notification, caller: Caller, args: dict[str, Any]
    ) -> Answer | None:
        if name not in _REACHING:
            return None
        message = args.get("message", {})
        target = args.get("to") or message.get("address")
        if target is None and name in _MESSAGES:
            target = self._target_of(call)
        if not isinstance(target, dict) or "port" not in target or "place" in message:
            return None
        if self._sinkhole.gated:
            self._sinkhole.who = (call.pid, parent_and_name(call.pid)[1])
        try:
            return self._lead(name, call, caller, args, (target["address"], target["port"]))
        except OSError as error:
            return Answer("redirected", error.errno or errno.ECONNREFUSED)

    def _target_of(self, call: Notification) -> dict[str, Any] | None:
        """Where a message goes that names no address."""
        del call
        return None

    @abstractmethod
    def _lead(
        self,
        name: str,
        call: Notification,
        caller: Caller,
        args: dict[str, Any],
        target: tuple[str, int],
    ) -> Answer | None:
        """Have that call end in the sinkhole. Raises OSError with the errno that the caller shall see."""


class Amended(_Sunk):
    """In gVisor: the caller carries the call out itself, with another address."""

    def __init__(self, sinkhole: Sinkhole, tracer: Tracer) -> None:
        super().__init__(sinkhole)
        self._tracer = tracer

    def _lead(
        self,
        name: str,
        call: Notification,
        caller: Caller,
        args: dict[str, Any],
        target: tuple[str, int],
    ) -> Answer | None:
        del target
        led = redirect(self._tracer, self._sinkhole, name, call, caller, args)
        return Answer("redirected") if led else None


class Borrowed(_Sunk):
    """With a network namespace: the supervisor carries the call out, on a duplicate of the caller's
    own socket."""

    def _lead(
        self,
        name: str,
        call: Notification,
        caller: Caller,
        args: dict[str, Any],
        target: tuple[str, int],
    ) -> Answer | None:
        with self._sinkhole.held(process_of(call.pid), signed(call.args[0])) as (sock, kind):
            args["type"] = socket_type(caller, (kind,), 0)
            if name == "connect":
                self._sinkhole.redirect(sock, target)
                return Answer("redirected", value=0)
            if name == "sendto":
                data = caller.memory.read(call.args[1], min(call.args[2], _LARGEST_SEND))
            else:
                data = gathered(caller, call.args[1], _LARGEST_SEND)
            sent = self._sinkhole.send(sock, data, target)
        if name == "sendmmsg":  # of several messages, one: the caller sends the rest itself
            caller.memory.write(call.args[1] + _MMSGHDR_LENGTH, sent.to_bytes(4, "little"))
            return Answer("redirected", value=1)
        return Answer("redirected", value=sent)


class Paired(Borrowed):
    """Without namespaces: each socket that the worker asks for is the end of a pair, and the modes and
    owners of its scratch files stay as they are. takes: what is sent is heard, not refused."""

    def __init__(self, pairs: Pairs, listener: Listener | Tracer, *, takes: bool) -> None:
        super().__init__(pairs)
        self._pairs = pairs
        self._listener = listener if isinstance(listener, Listener) else None
        self._takes = takes

    def tick(self, *, final: bool = False) -> None:
        if self._takes:
            super().tick(final=final)

    def divert(
        self, name: str, call: Notification, caller: Caller, args: dict[str, Any]
    ) -> Answer | None:
        if name == "socket":
            return self._open_pair(call)
        if name == "setsockopt":
            level = call.args[1] & 0xFFFFFFFF
            return Answer("redirected", value=0, recorded=False) if level in _LEVELS else None
        if name == "getsockname":
            return _tell_own_address(self._pairs, call, caller)
        if name in _OF_SCRATCH and _in_scratch(args.get("path")):
            # Not done, as nothing would hold it to this path.
            return Answer("redirected", value=0)
        return super().divert(name, call, caller, args) if self._takes else None

    def _target_of(self, call: Notification) -> dict[str, Any] | None:
        with suppress(OSError):  # of a pair of its own: refused
            return self._pairs.peer(process_of(call.pid), signed(call.args[0]))
        return None

    def _open_pair(self, call: Notification) -> Answer | None:
        """Give the worker the end of a pair where it asks for a socket."""
        if self._listener is None or not is_socket_of_ours(call.args):
            return None
        kind = call.args[1] & 0xFFFFFFFF
        try:
            with self._pairs.open(kind, call.args[0] & 0xFFFFFFFF) as far:
                inheritable = not kind & socket.SOCK_CLOEXEC
                given = self._listener.give(call, far.fileno(), inheritable=inheritable)
                return Answer("allowed", value=given)
        except OSError as error:
            return Answer("redirected", error.errno or errno.EMFILE)


def _tell_own_address(pairs: Pairs, call: Notification, caller: Caller) -> Answer:
    """Tell the worker an address of the family that it asked for: glibc aborts otherwise."""
    found = b""
    with suppress(OSError):  # of a pair of its own
        found = pairs.name(process_of(call.pid), signed(call.args[0]))
    if not found:
        return Answer("allowed", recorded=False)
    room = int.from_bytes(caller.memory.read(call.args[2], 4), "little")
    caller.memory.write(call.args[1], found[:room])
    caller.memory.write(call.args[2], len(found).to_bytes(4, "little"))
    return Answer("allowed", value=0, recorded=False)


def _in_scratch(path: object) -> bool:
    return isinstance(path, str) and path.startswith(_SCRATCH)
