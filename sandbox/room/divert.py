"""Calls that are carried out in the caller's place, or towards another end than they name.

With a sinkhole, whatever reaches an IP address is led there. Where the cell stands alone, the worker
gets the end of a pair for each socket that it asks for, and the modes of its scratch files stay.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.kernel.ptrace import Tracer
from safe_load.sandbox.kernel.seccomp import Listener
from safe_load.sandbox.room import root
from safe_load.sandbox.room.caller import process_of
from safe_load.sandbox.room.decide import Answer, is_socket_of_ours
from safe_load.sandbox.room.decode import gathered, signed, socket_type
from safe_load.sandbox.room.lead import lead
from safe_load.sandbox.room.pairs import Pairs
from safe_load.sandbox.room.sinkhole import Sinkhole

if TYPE_CHECKING:
    import select
    from collections.abc import Callable

    from safe_load.sandbox.kernel.seccomp import Notification
    from safe_load.sandbox.room.caller import Caller

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


class Diversions:
    """Of one room. poll: the supervisor's; tell: called once per conversation, as Sinkhole's."""

    def __init__(
        self,
        spec: dict[str, Any],
        listener: Listener | Tracer,
        poll: select.poll,
        tell: Callable[..., None],
    ) -> None:
        self._listener = listener if isinstance(listener, Listener) else None
        self._tracer: Tracer | None = None
        if isinstance(listener, Tracer) and spec["kernel"] == "gvisor":
            self._tracer = listener
        self._pairs = Pairs(poll, tell) if spec["alone"] else None
        self._sinkhole: Sinkhole | None = None
        if spec["sinkhole"]:
            self._sinkhole = self._pairs or Sinkhole(poll, tell, routed=spec["routed"])

    def ready(self, descriptor: int) -> None:
        """Attend to a readable descriptor, if it is one of the sinkhole's or of a pair."""
        if (hole := self._sinkhole or self._pairs) is not None:
            hole.ready(descriptor)

    def tick(self, *, final: bool = False) -> None:
        """As Sinkhole's."""
        if self._sinkhole is not None:
            self._sinkhole.tick(final=final)

    def divert(
        self, name: str, call: Notification, caller: Caller, args: dict[str, Any]
    ) -> Answer | None:
        """Carry a call out; None: not such a call. `args` learn what is found on the way."""
        if self._pairs is not None:
            if name == "socket":
                return self._open_pair(self._pairs, call)
            if name == "setsockopt":
                level = call.args[1] & 0xFFFFFFFF
                return Answer("redirected", value=0, told=False) if level in _LEVELS else None
            if name == "getsockname":
                return _tell_own_address(self._pairs, call, caller)
            if name in _OF_SCRATCH and _in_scratch(args.get("path")):
                # Not done, as nothing would hold it to this path.
                return Answer("redirected", value=0)
        if self._sinkhole is None or name not in _REACHING:
            return None
        return self._reach(self._sinkhole, name, call, caller, args)

    def _reach(
        self,
        sinkhole: Sinkhole,
        name: str,
        call: Notification,
        caller: Caller,
        args: dict[str, Any],
    ) -> Answer | None:
        """Lead what names an address of IP into the sinkhole."""
        message = args.get("message", {})
        target = args.get("to") or message.get("address")
        if self._pairs is not None and name in _MESSAGES and target is None:
            with suppress(OSError):  # of a pair of its own: refused
                target = self._pairs.peer(process_of(call.pid), signed(call.args[0]))
        if not isinstance(target, dict) or "port" not in target or "place" in message:
            return None
        try:
            if self._tracer is not None:
                led = lead(self._tracer, sinkhole, name, call, caller, args)
                return Answer("redirected") if led else None
            with sinkhole.held(process_of(call.pid), signed(call.args[0])) as (sock, kind):
                args["type"] = socket_type(caller, (kind,), 0)
                where = (target["address"], target["port"])
                if name == "connect":
                    sinkhole.redirect(sock, where)
                    return Answer("redirected", value=0)
                if name == "sendto":
                    data = caller.memory.read(call.args[1], min(call.args[2], _LARGEST_SEND))
                else:
                    data = gathered(caller, call.args[1], _LARGEST_SEND)
                sent = sinkhole.send(sock, data, where)
        except OSError as error:
            return Answer("redirected", error.errno or errno.ECONNREFUSED)
        if name == "sendmmsg":  # of several messages, one: the caller sends the rest itself
            caller.memory.write(call.args[1] + _MMSGHDR_LENGTH, sent.to_bytes(4, "little"))
            return Answer("redirected", value=1)
        return Answer("redirected", value=sent)

    def _open_pair(self, pairs: Pairs, call: Notification) -> Answer | None:
        """Give the worker the end of a pair where it asks for a socket."""
        if self._listener is None or not is_socket_of_ours(call.args):
            return None
        kind = call.args[1] & 0xFFFFFFFF
        try:
            with pairs.open(kind, call.args[0] & 0xFFFFFFFF) as far:
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
        return Answer("allowed", told=False)
    room = int.from_bytes(caller.memory.read(call.args[2], 4), "little")
    caller.memory.write(call.args[1], found[:room])
    caller.memory.write(call.args[2], len(found).to_bytes(4, "little"))
    return Answer("allowed", value=0, told=False)


def _in_scratch(path: object) -> bool:
    return isinstance(path, str) and path.startswith(_SCRATCH)
