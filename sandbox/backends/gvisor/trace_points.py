"""gVisor's trace points, as its remote sink sends them: messages to events.

Zone: controller. One message is a header and a protobuf; the few fields that are looked at are read
here, bounded. The sentry writes them, so the frame is trusted; names, paths and arguments in it are
the worker's own words.
https://github.com/google/gvisor/tree/release-20221219.0/pkg/sentry/seccheck
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.backends.interface import Event
from safe_load.sandbox.room.monitor.decode import open_flag_names, sockaddr, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: The largest message: paths and addresses are bounded by the sentry, argument vectors only here.
LARGEST = 256 << 10
#: What the sentry calls the version of this format (wire.go); it is sent back as it came.
VERSION = 1
_HEADER = struct.Struct("<HHI")  # size of the header, type, how many were dropped so far
_MOST_FIELDS = 4096
_WORDS, _WORD_BYTES = 64, 4096
_WORD = (1 << 64) - 1
_START, _PROGRAM = 1, 3
_RAW, _OPEN, _CONNECT, _EXECVE, _SOCKET, _BIND = 6, 7, 10, 11, 12, 24
_TIME, _THREAD, _GROUP, _CONTAINER, _CWD, _NAME = 1, 2, 4, 6, 8, 9  # of ContextData

Value = int | bytes
Fields = dict[int, list[Value]]


class BadMessage(Exception):
    """What came is not of this format."""


@dataclass(frozen=True)
class Point:
    """One message. group: the process, as the container numbers it; number: of the system call, None
    where it is no call's; dropped: messages lost before this one."""

    kind: int
    group: int
    number: int | None
    dropped: int
    fields: Fields
    context: Fields

    @property
    def container(self) -> str:
        """Which container started, if that is what this tells."""
        return _text(self.fields, 2) if self.kind == _START else ""

    @property
    def path(self) -> str:
        """The absolute path of what is opened, if that is what this tells."""
        if self.kind != _OPEN:
            return ""
        base = _text(self.fields, 5) or _text(self.context, _CWD) or "/"
        return os.path.normpath(os.path.join(base, _text(self.fields, 6)))


def read(message: bytes) -> Point:
    """Raises BadMessage."""
    if len(message) < _HEADER.size:
        raise BadMessage("a message ends in its header")
    size, kind, dropped = _HEADER.unpack_from(message)
    if not _HEADER.size <= size <= len(message):
        raise BadMessage("a message has no room for its header")
    fields = _fields(message[size:])
    context = _fields(_bytes(fields, 1))
    number = None
    if kind not in (_START, _PROGRAM):
        number = _integer(fields, 4 if kind == _RAW else 3)
    return Point(kind, _integer(context, _GROUP), number, dropped, fields, context)


def event(point: Point, names: Mapping[int, str], stage: str) -> Event:
    """The call that a message tells of. names: number -> name."""
    ended = _fields(_bytes(point.fields, 2)) if point.kind != _PROGRAM else {}
    failed = _integer(ended, 2)
    arguments = _ARGUMENTS.get(point.kind, _registers)(point)
    number = point.number
    name = "execve" if number is None else names.get(number, f"syscall_{number}")
    return Event(
        t=_integer(point.context, _TIME) / 1e9 - (time.time() - time.monotonic()),
        stage=stage,
        pid=_integer(point.context, _THREAD),
        ppid=0,
        comm=_text(point.context, _NAME)[:64],
        syscall=name,
        args=arguments,
        decision="allowed",
        errno=errno.errorcode.get(failed, str(failed)) if failed else None,
    )


def _registers(point: Point) -> dict[str, Any]:
    return {f"arg{index}": hex(_integer(point.fields, 5 + index) & _WORD) for index in range(3)}


def _program(point: Point) -> dict[str, Any]:
    return {"path": _text(point.fields, 2), "argv": _words(point.fields, 3)}


def _execution(point: Point) -> dict[str, Any]:
    return {"path": _text(point.fields, 6), "argv": _words(point.fields, 7)}


def _opening(point: Point) -> dict[str, Any]:
    return {"path": point.path, "flags": open_flag_names(_integer(point.fields, 7))}


def _reaching(point: Point) -> dict[str, Any]:
    label = "address" if point.kind == _BIND else "to"
    return {"fd": _integer(point.fields, 4), label: sockaddr(_bytes(point.fields, 6))}


def _socket(point: Point) -> dict[str, Any]:
    family, kind = _integer(point.fields, 4), _integer(point.fields, 5) & 0xF
    families = {int(each): each.name for each in socket.AddressFamily}
    kinds = {int(each): each.name for each in socket.SocketKind}
    return {
        "family": families.get(family, str(family)),
        "type": kinds.get(kind, str(kind)),
        "protocol": _integer(point.fields, 6),
    }


_ARGUMENTS: dict[int, Callable[[Point], dict[str, Any]]] = {
    _PROGRAM: _program,
    _OPEN: _opening,
    _CONNECT: _reaching,
    _BIND: _reaching,
    _EXECVE: _execution,
    _SOCKET: _socket,
}


def _fields(raw: bytes) -> Fields:
    """Number -> values of a protobuf message (protobuf.dev, Encoding). Raises BadMessage."""
    found: Fields = {}
    for count, (number, value) in enumerate(_decode(raw)):
        if count >= _MOST_FIELDS:
            break
        found.setdefault(number, []).append(value)
    return found


def _decode(raw: bytes) -> Iterator[tuple[int, Value]]:
    offset = 0
    while offset < len(raw):
        tag, offset = _varint(raw, offset)
        if tag & 7 == 0:
            value, offset = _varint(raw, offset)
            yield tag >> 3, value
            continue
        if tag & 7 == 2:
            size, offset = _varint(raw, offset)
        elif tag & 7 in (1, 5):
            size = 8 if tag & 7 == 1 else 4
        else:
            raise BadMessage(f"a field of type {tag & 7}")
        if size > len(raw) - offset:
            raise BadMessage("a field goes past the end of its message")
        yield tag >> 3, raw[offset : offset + size]
        offset += size


def _varint(raw: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(raw[offset : offset + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & (1 << 64) - 1, offset + place + 1
    raise BadMessage("a number goes past the end of its message")


def _integer(fields: Fields, number: int) -> int:
    """A number, signed as int64; 0 where it is absent, as protobuf leaves it out."""
    value = fields.get(number, [0])[-1]
    if not isinstance(value, int):
        raise BadMessage(f"field {number} is not a number")
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(fields: Fields, number: int) -> bytes:
    value = fields.get(number, [b""])[-1]
    if not isinstance(value, bytes):
        raise BadMessage(f"field {number} is not text")
    return value


def _text(fields: Fields, number: int) -> str:
    return text(_bytes(fields, number)[:_WORD_BYTES])


def _words(fields: Fields, number: int) -> list[str]:
    words = []
    left = _WORD_BYTES
    for value in fields.get(number, [])[:_WORDS]:
        if not isinstance(value, bytes):
            raise BadMessage(f"field {number} is not text")
        if left <= 0:
            words.append("...")
            break
        words.append(text(value[:left]))
        left -= len(value) + 1
    return words
