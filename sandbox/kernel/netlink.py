"""Routes of the current network namespace, by rtnetlink(7)."""

from __future__ import annotations

import os
import socket
import struct

_NEWROUTE, _ERROR = 24, 2
_REQUEST, _ACK, _CREATE = 0x1, 0x4, 0x400
_TABLE_LOCAL, _PROTOCOL_BOOT, _SCOPE_HOST, _TYPE_LOCAL = 255, 3, 254, 2
_ATTRIBUTE_OIF = 4
_LOOPBACK = 1  # lo is the first interface of every network namespace


def make_everything_local() -> None:
    """Route every IPv4 and IPv6 address to this host itself, as `ip route add local default dev lo`
    does: whoever connects anywhere meets a listener of this namespace, or nobody. Needs
    CAP_NET_ADMIN. IPv6 is left out where the kernel has none. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sock:
        sock.settimeout(5)
        for family in (socket.AF_INET, socket.AF_INET6):
            route = struct.pack(
                "=BBBBBBBBI",
                family,
                0,
                0,
                0,
                _TABLE_LOCAL,
                _PROTOCOL_BOOT,
                _SCOPE_HOST,
                _TYPE_LOCAL,
                0,
            )
            body = route + struct.pack("=HHi", 8, _ATTRIBUTE_OIF, _LOOPBACK)
            header = struct.pack(
                "=IHHII", 16 + len(body), _NEWROUTE, _REQUEST | _ACK | _CREATE, 1, 0
            )
            sock.send(header + body)
            answer = sock.recv(4096)
            kind = struct.unpack_from("=IH", answer)[1]
            number = -struct.unpack_from("=i", answer, 16)[0] if kind == _ERROR else 0
            if number and family == socket.AF_INET:
                raise OSError(number, f"adding a local route: {os.strerror(number)}")
