"""What a tool says first on a connection: TLS and to which name, plain HTTP and to which host, or neither.

Zone: controller. The bytes are hostile. The reader is strict and bounded: what it does not understand is
not TLS. A ClientHello may come in several records and segments (RFC 8446, 4.1.2 and 5.1; RFC 6066, 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Bytes. More than any ClientHello or head of a request that a library sends first.
LONGEST = 32 << 10
_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0
_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ")


@dataclass(frozen=True)
class Said:
    """kind: of what was said; name: the TLS server name or the HTTP host, "" where none is given."""

    kind: Literal["tls", "http", "connect", "other"]
    name: str = ""


class _Malformed(Exception):
    """It is no ClientHello."""


def read(data: bytes, *, ended: bool = False) -> Said | None:
    """What these first bytes are; None: more must come. ended: nothing more comes."""
    if len(data) > LONGEST:
        return Said("other")
    try:
        if data[:1] == bytes((_HANDSHAKE,)):
            hello = _client_hello(data)
            if hello is not None:
                return Said("tls", _server_name(hello))
            return Said("other") if ended else None
    except _Malformed:
        return Said("other")
    if any(data.startswith(method[: len(data)]) for method in _METHODS):
        head, whole, _ = data.partition(b"\r\n\r\n")
        if not whole:
            return Said("other") if ended else None
        return _http(head)
    return Said("other")


def _http(head: bytes) -> Said:
    line, *fields = head.split(b"\r\n")
    if line.startswith(b"CONNECT "):
        return Said("connect")
    hosts = [value.strip() for name, _, value in (field.partition(b":") for field in fields)
             if name.strip().lower() == b"host"]  # fmt: skip
    target = line.split(b" ")[1:2]
    if (
        target and b"://" in target[0]
    ):  # absolute form: the host is in the request line (RFC 9112, 3.2.2)
        hosts.append(target[0].partition(b"://")[2].partition(b"/")[0])
    names = {_without_port(host.decode("ascii", "backslashreplace").lower()) for host in hosts}
    return Said("http", names.pop() if len(names) == 1 else "" if not names else "several hosts")


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def _client_hello(data: bytes) -> bytes | None:
    """The body of the ClientHello in one or more records; None where it is not whole yet."""
    message, at = bytearray(), 0
    while True:
        if len(message) >= 4:
            size = int.from_bytes(message[1:4], "big")
            if message[0] != _CLIENT_HELLO or size > LONGEST:
                raise _Malformed
            if len(message) >= 4 + size:
                return bytes(message[4 : 4 + size])
        if at + 5 > len(data):
            if at < len(data) and data[at] != _HANDSHAKE:
                raise _Malformed
            return None
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] != _HANDSHAKE or data[at + 1] != 3 or not 0 < size <= 1 << 14:
            raise _Malformed
        message += data[at + 5 : at + 5 + size]
        if at + 5 + size > len(data):
            return None
        at += 5 + size


class _Reader:
    """Takes a structure apart, and never past its end."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, count: int) -> bytes:
        if count > len(self.data):
            raise _Malformed
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def vector(self, width: int) -> bytes:
        """What a length of that many bytes precedes."""
        return self.take(int.from_bytes(self.take(width), "big"))


def _server_name(hello: bytes) -> str:
    reader = _Reader(hello)
    reader.take(2 + 32)  # version and random
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        reader.vector(width)
    if not reader.data:
        return ""
    extensions = _Reader(reader.vector(2))
    found: list[str] = []
    while extensions.data:
        kind, body = int.from_bytes(extensions.take(2), "big"), _Reader(extensions.vector(2))
        if kind != _SERVER_NAME:
            continue
        names = _Reader(body.vector(2))
        while names.data:
            is_host = names.take(1)[0] == _HOST_NAME
            name = names.vector(2)
            if is_host:
                found.append(name.decode("ascii", "backslashreplace").lower().removesuffix("."))
    if len(found) > 1:
        raise _Malformed
    return found[0] if found else ""
