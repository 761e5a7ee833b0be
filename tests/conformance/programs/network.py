"""Every way out that a payload may try, with addresses that belong to nobody (RFC 5737, RFC 3849)."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct
from typing import TYPE_CHECKING, Any

import raw

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST4, HOST6, MAPPED = "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.7"


def connect(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Connect to argument["to"], a pair, in that family and type."""
    target = argument["to"]
    address = tuple(target) if isinstance(target, list) else target
    family = getattr(socket, argument["family"])
    kind = getattr(socket, argument.get("type", "SOCK_STREAM"))
    try:
        sock = socket.socket(family, kind)
    except OSError as error:
        return {"socket": errno.errorcode[error.errno or 0]}
    if address == "raw":  # Python has no address of this family: send the bytes
        data = struct.pack("=H", family) + bytes(14)
        return {"connect": raw.call("connect", sock.fileno(), data, len(data))}
    sock.settimeout(3)
    return {"connect": raw.attempt(lambda: sock.connect(address))}


def connects(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Each of the connects that the argument holds, by name. What each met."""
    return {name: connect(each, outputs) for name, each in argument.items()}


def datagrams(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Send one datagram by each of the three calls that take an address."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return {
        "sendto": raw.attempt(lambda: sock.sendto(b"by sendto", (HOST4, 5001))),
        "sendmsg": raw.attempt(lambda: sock.sendmsg([b"by sendmsg"], [], 0, (HOST4, 5002))),
        "sendmmsg": _send_many(sock, [(HOST4, 5003)]),
        "second of sendmmsg": _send_many(sock, [None, (HOST4, 5004)]),
    }


def _send_many(sock: socket.socket, targets: list[tuple[str, int] | None]) -> str:
    data = ctypes.create_string_buffer(b"by sendmmsg")
    vector = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), 11))
    kept, headers = [], b""
    for target in targets:
        name, size = 0, 0
        if target is not None:
            address = struct.pack("=H", socket.AF_INET) + struct.pack(">H", target[1])
            buffer = ctypes.create_string_buffer(
                address + socket.inet_aton(target[0]) + bytes(8), 16
            )
            kept.append(buffer)
            name, size = ctypes.addressof(buffer), 16
        headers += struct.pack(
            "=QIxxxxQQQQixxxxIxxxx", name, size, ctypes.addressof(vector), 1, 0, 0, 0, 0
        )
    return raw.call(
        "sendmmsg", sock.fileno(), ctypes.create_string_buffer(headers), len(targets), 0
    )


def fast_open(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """TCP Fast Open: connects and sends by sendto alone."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    return {"sendto": raw.attempt(lambda: sock.sendto(b"hi", socket.MSG_FASTOPEN, (HOST4, 5005)))}


def listen(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Offer a service."""

    def serve() -> None:
        socket.create_server(("127.0.0.1", 5006))

    return {"listen": raw.attempt(serve)}


def stubborn(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Connect from sockets that drop every answer, from many threads: whoever connects for us waits."""
    import threading

    def try_on() -> None:
        while True:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock.setsockopt(
                socket.IPPROTO_IP, 21, 255
            )  # IP_MINTTL: nothing on lo arrives with more than 64
            raw.attempt(lambda: sock.connect((HOST4, 5007)))  # noqa: B023

    threads = [threading.Thread(target=try_on) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {}


def own_addresses(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Look a name up, which glibc sorts by the addresses of sockets; and ask sockets for theirs."""
    found = {each[4][0] for each in socket.getaddrinfo("example.org", 80)}
    told = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            told[family.name] = sock.getsockname()[0]
    with socket.socketpair()[0] as pair:
        told["AF_UNIX"] = pair.getsockname()
    return {"found": len(found), "told": told}
