"""What bytes and addresses on a socket say. The bytes come from a hostile worker: nothing here raises for them."""

from __future__ import annotations

import socket
import struct
from typing import Any

from safe_load.sandbox.room.monitor.decode import text

#: How a plain HTTP request begins.
METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ")


def family_of(target: tuple[str, int]) -> int:
    """The family that traffic to the target has on the wire: a mapped address is IPv4."""
    mapped = target[0].startswith("::ffff:") and "." in target[0]
    return socket.AF_INET if mapped or ":" not in target[0] else socket.AF_INET6


def plain(address: str) -> str:
    """An address without a zone, and IPv4 out of its IPv6 mapping."""
    return address.partition("%")[0].removeprefix("::ffff:")


def request_is_whole(kept: bytes, total: int, limit: int) -> bool:
    """Whether a plain HTTP request has come to its end, or further than is kept of it. kept: its first
    bytes, `limit` at most; total: bytes that came."""
    head, found, _ = kept.partition(b"\r\n\r\n")
    if not found:
        return total >= limit
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return total >= len(head) + 4 + int(value.strip()[:9])
    return True


def reached(sock: socket.socket, control: list[Any]) -> str:
    """The address that a datagram was sent to (IP_PKTINFO, IPV6_PKTINFO)."""
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == 8 and len(data) >= 12:
            return socket.inet_ntop(socket.AF_INET, data[8:12])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO and len(data) >= 16:
            return plain(socket.inet_ntop(socket.AF_INET6, data[:16]))
    return plain(str(sock.getsockname()[0]))


def server_name(data: bytes) -> str | None:
    """The SNI of a TLS ClientHello (RFC 8446, RFC 6066); "" when it has none; None when it is not
    a ClientHello that is there far enough."""
    if len(data) < 44 or data[0] != 22 or data[5] != 1:
        return None
    at = 43
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        if at + width > len(data):
            return None
        at += width + int.from_bytes(data[at : at + width], "big")
    end = min(len(data), at + 2 + int.from_bytes(data[at : at + 2], "big"))
    at += 2
    while at + 4 <= end:
        kind, size = struct.unpack_from(">HH", data, at)
        if kind == 0 and size >= 5:
            return text(data[at + 9 : at + 4 + size][:255])
        at += 4 + size
    return ""
