"""A name server that knows every name (RFC 1035): each gets a documentation address of its own.

The bytes come from a hostile worker; whatever does not parse gets no answer.
"""

from __future__ import annotations

import ipaddress
import struct

_A, _PTR, _AAAA, _ANY = 1, 12, 28, 255
TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    12: "PTR",
    15: "MX",
    16: "TXT",
    28: "AAAA",
    33: "SRV",
    65: "HTTPS",
    255: "ANY",
}
_TTL_S = 60
_MOST_NAMES = 4096


class Names:
    """Stable addresses: the n-th name is 198.51.100.n or 203.0.113.n while they last (TEST-NET-2
    and -3, RFC 5737), then in 198.18.0.0/15 (RFC 2544); in IPv6, 2001:db8::n (RFC 3849)."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: dict[str, str] = {}

    def address(self, name: str, *, version: int) -> str:
        """The address of a name."""
        key = name.lower()  # names are compared without case, but told as they were spelt
        number = self._numbers.get(key)
        if number is None:
            # Past the bound all further names share one number: no attribution, but an answer.
            number = min(len(self._numbers) + 1, _MOST_NAMES)
            if number < _MOST_NAMES:
                self._numbers[key] = number
                for each in (4, 6):
                    self._names[_numbered(number, each)] = name
        return _numbered(number, version)

    def name(self, address: str) -> str | None:
        """The name that was given this address, if any was."""
        return self._names.get(address)


def _numbered(number: int, version: int) -> str:
    if version == 6:
        return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("2001:db8::")) + number))
    if number <= 250:
        return f"198.51.100.{number}"
    return str(ipaddress.IPv4Address(int(ipaddress.IPv4Address("198.18.0.0")) + number))


def answer(query: bytes, names: Names) -> tuple[str, str, bytes] | None:
    """(name, type, response) for one query; None for what is not one."""
    if len(query) < 17:
        return None
    ident, flags, questions = struct.unpack_from(">HHH", query)
    if flags & 0x8000 or questions < 1:
        return None
    parsed = _name(query, 12)
    if parsed is None:
        return None
    name, end = parsed
    if len(query) < end + 4:
        return None
    kind, klass = struct.unpack_from(">HH", query, end)
    data = b""
    if kind in (_A, _ANY):
        kind_of_answer = _A
        data = ipaddress.IPv4Address(names.address(name, version=4)).packed
    elif kind == _AAAA:
        kind_of_answer = _AAAA
        data = ipaddress.IPv6Address(names.address(name, version=6)).packed
    elif kind == _PTR and (known := _reversed(name, names)) is not None:
        kind_of_answer = _PTR
        data = b"".join(bytes([len(label)]) + label for label in known.encode().split(b".")) + b"\0"
    # Recursion desired is echoed, recursion available is set; no error, also for "no such record".
    header = struct.pack(">HHHHHH", ident, 0x8080 | (flags & 0x0100), 1, 1 if data else 0, 0, 0)
    response = header + query[12 : end + 4]
    if data:
        response += struct.pack(">HHHIH", 0xC00C, kind_of_answer, klass, _TTL_S, len(data)) + data
    return name, TYPES.get(kind, str(kind)), response


def _name(query: bytes, offset: int) -> tuple[str, int] | None:
    labels: list[str] = []
    size = 0
    while offset < len(query):
        length = query[offset]
        if length == 0:
            return ".".join(labels), offset + 1
        if length > 63:  # a compressed name has no place in a question
            return None
        size += length + 1
        if size > 255 or offset + 1 + length > len(query):
            return None
        labels.append(query[offset + 1 : offset + 1 + length].decode("ascii", "backslashreplace"))
        offset += 1 + length
    return None


def _reversed(name: str, names: Names) -> str | None:
    name, found, _ = name.lower().partition(".in-addr.arpa")
    return names.name(".".join(reversed(name.split(".")))) if found else None
