"""The connections that a tool's rules allow: made here, checked, copied both ways, and counted.

Zone: controller. The room's supervisor hands over the room's own end of each connection, so the tool
never has a socket of the host. One thread makes and copies each; what is under way is bounded by what
the kernel holds in four socket buffers and one buffer here. Nothing of what the tool sends goes
further before its first bytes have been read against the rule.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TYPE_CHECKING, Literal

from safe_load.sandbox import codec, program
from safe_load.tools import first_bytes
from safe_load.tools.rules import Rule, as_address, is_public

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from safe_load.sandbox.program import Passed

    Resolve = Callable[[str, int], Sequence[str]]

_MOST_CONNECTIONS = 64
_CONNECT_S, _FIRST_S, _LOOK_S, _MOMENT_S = 10.0, 30.0, 0.25, 1.0
_MOST_ADDRESSES = 4
_PIECE = 64 << 10
_TLS_PORT = 443
_RESET = struct.pack("=ii", 1, 0)
_ACCESS_DENIED = bytes((21, 3, 3, 0, 2, 2, 49))  # the alert (RFC 8446, 6.2)


@dataclass
class Connection:
    """One connection that was handed over, and what became of it. began: time.time(); name: the TLS name
    that the tool gave, "" where it is no TLS; address: the one that was reached, "" where none was; sent,
    received: bytes from and to the tool; why: the reason where it was refused or failed."""

    began: float
    pid: int
    comm: str
    host: str
    stand_in: str
    port: int
    rule: str
    address: str = ""
    name: str = ""
    sent: int = 0
    received: int = 0
    decision: Literal["allowed", "refused", "failed"] = "allowed"
    why: str = ""


class _Refused(Exception):
    """A connection that the rules do not let through."""


@dataclass
class Relay:
    """Serves one room's line until the room is gone.

    rules: what is allowed. ended: called from threads, one at a time, with each connection at its end.
    resolve: a name and a port to addresses. pair: our end of the line and the room's; None makes them."""

    rules: tuple[Rule, ...]
    ended: Callable[[Connection], None]
    resolve: Resolve = field(default_factory=lambda: _resolved)
    pair: tuple[socket.socket, socket.socket] | None = None

    def __post_init__(self) -> None:
        self.line, self.far = self.pair or socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = Lock()
        self._threads: set[Thread] = set()
        self._stopping = False
        self._listener = Thread(target=self._listen, name="relay", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._listener.start()

    def signal(self, number: int) -> None:
        """Have the room's program get that signal. Nothing happens when the room is gone."""
        with suppress(OSError):
            self.line.send(program.write(program.Signal(number)), socket.MSG_DONTWAIT)

    def close(self) -> None:
        """End every connection, and tell of each. For when the room is gone."""
        self._stopping = True
        with suppress(OSError):
            self.far.close()
        with suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)
        if self._listener.is_alive():
            self._listener.join()
        for thread in tuple(self._threads):
            thread.join(_CONNECT_S + 1)
        self.line.close()

    def _listen(self) -> None:
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self.line, program.LONGEST, 4)
            except OSError:
                return
            if not data:
                return
            inside = [socket.socket(fileno=number) for number in descriptors]
            try:
                passed = codec.reader(program.Passed)(codec.parsed(data), "")
                first, *rest = inside
            except (codec.ProtocolError, ValueError):
                for sock in inside:
                    sock.close()
                continue
            for sock in rest:
                sock.close()
            self._begin(first, passed)

    def _begin(self, inside: socket.socket, passed: Passed) -> None:
        rule = next(
            (each for each in self.rules if (each.host, each.port) == (passed.host, passed.port)),
            None,
        )
        connection = Connection(
            began=time.time(),
            pid=passed.pid,
            comm=passed.comm,
            host=passed.host,
            stand_in=passed.address,
            port=passed.port,
            rule=str(rule) if rule else "",
        )
        with self._lock:
            self._threads = {each for each in self._threads if each.is_alive()}
            crowded = len(self._threads) >= _MOST_CONNECTIONS
        if rule is None or crowded:
            why = f"more than {_MOST_CONNECTIONS} connections at a time" if rule else "no rule"
            self._refuse(inside, connection, why, first_bytes.Said("other"))
            self._tell(connection)
            return
        thread = Thread(
            target=self._serve, args=(inside, connection, rule), name="connection", daemon=True
        )
        self._threads.add(thread)
        thread.start()

    def _serve(self, inside: socket.socket, connection: Connection, rule: Rule) -> None:
        try:
            with inside:
                self._connect(inside, connection, rule)
        except OSError as error:
            connection.why = error.strerror or str(error)
            if not connection.sent and not connection.received:
                connection.decision = "failed"
        finally:
            self._tell(connection)

    def _tell(self, connection: Connection) -> None:
        with self._lock:
            self.ended(connection)

    def _connect(self, inside: socket.socket, connection: Connection, rule: Rule) -> None:
        said = first_bytes.Said("other")
        try:
            with _reached(self._addresses(rule), rule.port) as outside:
                connection.address = str(outside.getpeername()[0])
                said = self._copy(inside, outside, connection, rule)
        except _Refused as error:
            self._refuse(inside, connection, str(error), said)
        except OSError:
            _reset(inside)
            raise

    def _addresses(self, rule: Rule) -> Sequence[str]:
        """The addresses that the rule leads to. One that is not public refuses the host: whoever answers for
        its name may not choose one of this machine's or its network's."""
        if (literal := rule.address) is not None:
            if not (rule.private or is_public(literal)):
                raise _Refused(f"{literal} is no public address")
            return [str(literal)]
        try:
            found = self.resolve(rule.host, rule.port)
        except OSError as error:
            raise OSError(f"the name {rule.host} was not resolved: {error.strerror}") from error
        for each in found:
            address = as_address(each.partition("%")[0])
            if address is None or not is_public(address):
                raise _Refused(f"{rule.host} resolves to {each}, which is no public address")
        if not found:
            raise OSError(f"the name {rule.host} has no address")
        return found

    def _copy(
        self, inside: socket.socket, outside: socket.socket, connection: Connection, rule: Rule
    ) -> first_bytes.Said:
        """Copy both ways until both have ended. Raises _Refused, before any byte of the tool has gone on,
        and OSError."""
        held, said = bytearray(), None
        deadline = time.monotonic() + _FIRST_S
        inside.setblocking(False)
        outside.setblocking(False)
        to_host, to_room = _Way(inside, outside), _Way(outside, inside)
        while not (to_host.ended and to_room.ended):
            if self._stopping:
                break
            # What the host says first is let in: nothing leaves by that.
            _wait(to_room, to_host if said is not None else None, inside if said is None else None)
            connection.received += to_room.move()
            if said is not None:
                connection.sent += to_host.move()
                continue
            more = _received(inside)
            held += more or b""
            said = first_bytes.read(bytes(held), ended=more == b"") if held or more == b"" else None
            if said is not None:
                connection.name = said.name if said.kind == "tls" else ""
                if (why := _objection(said, rule)) and held:
                    self._refuse(inside, connection, why, said)
                    return said
                to_host.pending += held
                to_host.read_all = more == b""
            elif time.monotonic() > deadline and held:
                raise _Refused("its first bytes did not come to an end")
        return said or first_bytes.Said("other")

    def _refuse(
        self, inside: socket.socket, connection: Connection, why: str, said: first_bytes.Said
    ) -> None:
        """Have it read as a refusal: an HTTP answer with the reason, TLS's own alert, or a reset."""
        connection.decision, connection.why = "refused", why
        with suppress(OSError):
            inside.setblocking(False)
            if said.kind == "other":
                said = _first_of(inside)
            if said.kind in ("http", "connect"):
                reason = f"safe-load: this connection was refused: {why}\n".encode(
                    "ascii", "replace"
                )
                head = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                inside.send(f"{head}Content-Length: {len(reason)}\r\n\r\n".encode() + reason)
            elif said.kind == "tls":
                inside.send(_ACCESS_DENIED)
            else:
                _reset(inside)
        inside.close()


class _Way:
    """One direction. pending: at most _PIECE bytes that were read and not written yet."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source, self.target = source, target
        self.pending = bytearray()
        self.read_all = self.ended = False

    def move(self) -> int:
        """Write what is pending, read once. Returns how many bytes were written. Raises OSError."""
        if not self.pending and not self.read_all:
            data = _received(self.source)
            self.read_all = data == b""
            self.pending += data or b""
        written = 0
        if self.pending:
            with suppress(BlockingIOError):
                written = self.target.send(self.pending)
                del self.pending[:written]
        if self.read_all and not self.pending and not self.ended:
            self.ended = True
            with suppress(OSError):
                self.target.shutdown(socket.SHUT_WR)
        return written


def _wait(to_room: _Way, to_host: _Way | None, listened: socket.socket | None) -> None:
    """Until something can be read or written, or a moment has passed."""
    wanted: dict[socket.socket, int] = {}
    for way in (to_room, to_host):
        if way is None or way.ended:
            continue
        if way.pending:
            wanted[way.target] = wanted.get(way.target, 0) | selectors.EVENT_WRITE
        elif not way.read_all:
            wanted[way.source] = wanted.get(way.source, 0) | selectors.EVENT_READ
    if listened is not None:
        wanted[listened] = wanted.get(listened, 0) | selectors.EVENT_READ
    with selectors.DefaultSelector() as selector:
        for sock, events in wanted.items():
            selector.register(sock, events)
        selector.select(_LOOK_S)


def _received(sock: socket.socket) -> bytes | None:
    """What has come; b"" at the end, None where nothing has. Raises OSError."""
    try:
        return sock.recv(_PIECE)
    except BlockingIOError:
        return None


def _first_of(sock: socket.socket) -> first_bytes.Said:
    """What comes first on a connection that goes nowhere, waited for a moment. Raises OSError."""
    heard, deadline = bytearray(), time.monotonic() + _MOMENT_S
    while time.monotonic() < deadline:
        data = _received(sock)
        heard += data or b""
        if (said := first_bytes.read(bytes(heard), ended=data == b"")) is not None:
            return said
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            selector.select(_LOOK_S)
    return first_bytes.Said("other")


def _reached(addresses: Sequence[str], port: int) -> socket.socket:
    """A connection to the first of them that takes one. Raises OSError."""
    failure = OSError("it has no address")
    for address in addresses[:_MOST_ADDRESSES]:
        try:
            return socket.create_connection((address, port), _CONNECT_S)
        except OSError as error:
            failure = error
    raise failure


def _objection(said: first_bytes.Said, rule: Rule) -> str:
    """Why what a tool says first does not fit its rule; "" where it does."""
    if said.kind == "connect":
        return "a request to a proxy (CONNECT) would lead past the rule"
    names = ("", rule.host) if rule.address is not None else (rule.host,)
    if said.kind in ("tls", "http") and said.name not in names:
        what = "TLS name" if said.kind == "tls" else "HTTP host"
        given = repr(said.name) if said.name else "not given"
        return f"the {what} is {given}, and the rule names {rule.host}"
    if rule.port == _TLS_PORT and said.kind != "tls":
        return f"it is no TLS, and port {_TLS_PORT} is for TLS"
    return ""


def _reset(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _resolved(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))
