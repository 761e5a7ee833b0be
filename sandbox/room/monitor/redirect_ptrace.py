"""Into the sinkhole, where the worker's sockets cannot be borrowed: gVisor has no pidfd_getfd.

The caller carries the call out itself, with the address of one of our listeners in the place of the
one that it names. That lies below its own stack, where no other thread writes by accident; one that
does it on purpose reaches something else on loopback, which is all there is.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.room.monitor.decode import signed, socket_type
from safe_load.sandbox.room.process_tree import PROC

if TYPE_CHECKING:
    from safe_load.sandbox.kernel.ptrace import Tracer
    from safe_load.sandbox.kernel.seccomp import Notification
    from safe_load.sandbox.room.monitor.caller import Caller
    from safe_load.sandbox.room.monitor.sinkhole import Sinkhole

_MSGHDR = 56  # struct msghdr: the address's pointer and length come first (sendmsg(2))


def redirect(
    tracer: Tracer,
    sinkhole: Sinkhole,
    name: str,
    call: Notification,
    caller: Caller,
    args: dict[str, Any],
) -> bool:
    """Change the call so that it reaches the sinkhole when it is resumed; `args` learn what kind of
    socket it is. False for what cannot be led: several messages, or a connection that is opened by
    sending. Raises OSError with the errno that the worker shall see."""
    target = args.get("to") or args["message"]["address"]
    kind = _kind_of(f"{PROC}/{call.pid}", signed(call.args[0]))
    args["type"] = socket_type(caller, (kind,), 0)
    if name == "sendmmsg" or (name != "connect" and kind == socket.SOCK_STREAM):
        return False
    family = socket.AddressFamily[target["family"]]
    address = _packed(
        family, sinkhole.listener_for(family, kind, (target["address"], target["port"]))
    )
    if name == "connect":
        tracer.amend(call, {1: tracer.put(call, address), 2: len(address)})
    elif name == "sendto":
        tracer.amend(call, {4: tracer.put(call, address), 5: len(address)})
    else:
        header = bytearray(caller.memory.read(call.args[1], _MSGHDR))
        if len(header) < _MSGHDR:
            raise OSError(errno.EFAULT, "no message")
        place = tracer.put(call, bytes(header) + address)
        struct.pack_into("=QI", header, 0, place + _MSGHDR, len(address))
        tracer.amend(call, {1: tracer.put(call, bytes(header) + address)})
    return True


def _kind_of(process: str, descriptor: int) -> int:
    """SOCK_STREAM or SOCK_DGRAM. Raises OSError for what is no socket."""
    link = os.readlink(f"{process}/fd/{descriptor}")
    if not link.startswith("socket:["):
        raise OSError(errno.ENOTSOCK, "no socket")
    inode = link[len("socket:[") : -1]
    for table in ("tcp", "tcp6"):
        with open(f"{PROC}/self/net/{table}", encoding="ascii", errors="replace") as file:
            if any(line.split()[9:10] == [inode] for line in file):
                return int(socket.SOCK_STREAM)
    return int(socket.SOCK_DGRAM)


def _packed(family: socket.AddressFamily, where: tuple[str, int]) -> bytes:
    """struct sockaddr_in or sockaddr_in6 (ip(7), ipv6(7))."""
    address, port = where
    start = struct.pack("=H", family) + struct.pack("!H", port)
    raw = socket.inet_pton(family, address)
    if family == socket.AF_INET:
        return start + raw + bytes(8)
    return start + bytes(4) + raw + bytes(4)
