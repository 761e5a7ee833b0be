"""Where everything goes that the worker sends: nowhere, but it does not notice, and it is heard.

The room's network namespace routes every address to itself (kernel/netlink.py), or, where that may
not be done, a loopback address stands for each address that is meant. When the worker connects, the
supervisor opens a listener on that port, connects the worker's own socket to it and tells the worker
that it worked. So the listener sees the address that was meant, and the first bytes. A name server
answers every name; plain HTTP gets an empty 204, so that a program in several steps shows the next
one; whoever only waits is hung up on.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.kernel.process import getfd
from safe_load.sandbox.room import dns
from safe_load.sandbox.room.decode import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KEPT = 4096  # bytes of each conversation
_MOST_LISTENERS, _MOST_CONVERSATIONS = 256, 128
_MOST_ALIASES = 65_535
#: Where the aliases are, in the presentation of addresses.
ALIASES = "127.64."
_PATIENCE_S = 1.0  # a conversation in which nothing is said is ended
_CONNECT_S = 0.05  # on loopback it takes microseconds, unless the socket drops the answer
DNS = 53
_METHODS = (b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ")
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Conversation:
    """One connection, or the datagrams of one sender to one address."""

    protocol: str
    address: str
    port: int
    began: float
    heard: float
    total: int = 0
    kept: bytearray = field(default_factory=bytearray)
    connection: socket.socket | None = None

    def take(self, data: bytes) -> None:
        self.heard = time.monotonic()
        self.total += len(data)
        self.kept += data[: _KEPT - len(self.kept)]


class Aliases:
    """Loopback addresses for all others, where routes cannot be made: 127/8 leads to this host in
    every network namespace, so each address that is meant gets one of its own there."""

    def __init__(self) -> None:
        self._aliases: dict[str, str] = {}
        self._meant: dict[str, str] = {}

    def of(self, address: str) -> str:
        """Where to connect for this address. Raises OSError when there were too many."""
        if address not in self._aliases:
            number = len(self._aliases) + 1
            if number > _MOST_ALIASES:
                raise OSError(errno.ECONNREFUSED, "too many addresses")
            alias = f"{ALIASES}{number >> 8}.{number & 255}"
            self._aliases[address] = alias
            self._meant[alias] = address
        return self._aliases[address]

    def meant(self, alias: str) -> str:
        """The address behind one of ours; any other is what it is."""
        return self._meant.get(alias, alias)


class Sinkhole:
    """Holds all listeners of the room. poll: the supervisor's; tell: called once per conversation
    and look-up with what the report calls egress; routed: whether every address leads here."""

    def __init__(self, poll: select.poll, tell: Callable[..., None], *, routed: bool) -> None:
        self._poll = poll
        self._tell = tell
        self._aliases = None if routed else Aliases()
        self._names = dns.Names()
        self._listeners: dict[int, tuple[socket.socket, str]] = {}
        self._ports: dict[tuple[int, str, int], int] = {}
        self._conversations: dict[int, Conversation] = {}
        self._datagrams: dict[tuple[str, int, str], Conversation] = {}

    def redirect(self, sock: socket.socket, target: tuple[str, int]) -> None:
        """Connect the worker's own socket (a duplicate of it) to `target`, which is us.

        Raises OSError with the errno that the worker shall see."""
        target = self._prepare(sock, target)
        # A non-blocking one is established by the time we accept.
        with suppress(BlockingIOError), _at_most(_CONNECT_S):
            sock.connect(target)
        if sock.type & socket.SOCK_STREAM:
            # At once, so that the queue of connections is never long enough to block us.
            self._accept(self._ports[(_family(target), "tcp", target[1])])

    def lead(self, family: int, kind: int, target: tuple[str, int]) -> tuple[str, int]:
        """Where a socket of that family and kind shall be led that wants to reach `target`: we listen
        there. Raises OSError as `redirect`."""
        address, port = target
        if self._aliases is not None:
            address = self._aliases.of(address)
        if family == socket.AF_INET6 and ":" not in address:
            address = f"::ffff:{address}"
        self._listen(_family((address, port)), kind, port)
        return address, port

    def send(self, sock: socket.socket, data: bytes, target: tuple[str, int]) -> int:
        """Send for the worker to an address. Raises OSError as `redirect`."""
        if sock.type & socket.SOCK_STREAM:  # TCP Fast Open: connect and send in one
            self.redirect(sock, target)
            return sock.send(data, socket.MSG_DONTWAIT)
        target = self._prepare(sock, target)
        return sock.sendto(data, socket.MSG_DONTWAIT, target)

    @contextmanager
    def held(self, process: int, descriptor: int) -> Iterator[tuple[socket.socket, int]]:
        """A duplicate of a process's socket, and its type. Raises OSError."""
        pidfd = os.pidfd_open(process)
        try:
            sock = socket.socket(fileno=getfd(pidfd, descriptor))
        finally:
            os.close(pidfd)
        with sock:
            yield sock, sock.type

    def domain(self, address: str) -> str | None:
        """The name that was looked up for this address."""
        return self._names.name(address)

    def ready(self, descriptor: int) -> bool:
        """Attend to one readable descriptor; False when it is not the sinkhole's."""
        if descriptor in self._conversations:
            self._hear(descriptor)
        elif descriptor in self._listeners:
            sock, protocol = self._listeners[descriptor]
            if protocol == "tcp":
                self._accept(descriptor)
            else:
                self._hear_datagrams(sock)
        else:
            return False
        return True

    def tick(self, *, final: bool = False) -> None:
        """End conversations in which nothing is said; at the end, all of them."""
        late = time.monotonic() - _PATIENCE_S
        if final:
            for descriptor, (_, protocol) in list(self._listeners.items()):
                if protocol == "tcp":
                    self._accept(descriptor)
        for descriptor, conversation in list(self._conversations.items()):
            if final:
                self._hear(descriptor)
            if descriptor in self._conversations and (final or conversation.heard < late):
                self._end(descriptor)
        for key, conversation in list(self._datagrams.items()):
            if final or conversation.heard < late:
                del self._datagrams[key]
                self._report(conversation)

    def _prepare(self, sock: socket.socket, target: tuple[str, int]) -> tuple[str, int]:
        """Have a listener for what the socket is about to reach; the target as the socket takes it."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            raise OSError(errno.ECONNREFUSED, "no listener for this family")
        if self._aliases is not None and sock.family == socket.AF_INET6:
            with suppress(OSError):  # it is bound already: the connection fails below
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return self.lead(sock.family, sock.type, target)

    def _listen(self, family: int, kind: int, port: int) -> None:
        protocol = "tcp" if kind & socket.SOCK_STREAM else "udp"
        key = (family, protocol, port)
        if key in self._ports:
            return
        if port == 0 or (len(self._ports) >= _MOST_LISTENERS and port != DNS):
            raise OSError(errno.ECONNREFUSED, "too many ports")
        sock = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO: which address was meant
        try:
            sock.bind(("", port))
            if protocol == "tcp":
                sock.listen(1024)
        except OSError as error:
            sock.close()
            raise OSError(errno.ECONNREFUSED, str(error)) from error
        self._ports[key] = sock.fileno()
        self._listeners[sock.fileno()] = (sock, protocol)
        self._poll.register(sock.fileno(), select.POLLIN)

    def _meant(self, address: str) -> str:
        """The address that the worker named, from the one that was reached."""
        return address if self._aliases is None else self._aliases.meant(address)

    def _accept(self, descriptor: int) -> None:
        listener, _ = self._listeners[descriptor]
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if len(self._conversations) >= _MOST_CONVERSATIONS:
                self._end(
                    min(self._conversations, key=lambda each: self._conversations[each].heard)
                )
            connection.setblocking(False)
            meant = connection.getsockname()
            now = time.monotonic()
            conversation = Conversation(
                "tcp", self._meant(plain(meant[0])), meant[1], now, now, connection=connection
            )
            self._conversations[connection.fileno()] = conversation
            self._poll.register(connection.fileno(), select.POLLIN)

    def _hear(self, descriptor: int) -> None:
        conversation = self._conversations[descriptor]
        assert conversation.connection is not None  # noqa: S101 - only those with one are kept here
        try:
            data = conversation.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(descriptor)
            return
        conversation.take(data)
        if conversation.port == DNS:
            self._answer_over_tcp(conversation)
        elif conversation.kept.startswith(_METHODS) and _request_is_whole(conversation):
            with suppress(OSError):
                conversation.connection.send(_NO_CONTENT)
            self._end(descriptor)
        elif server_name(bytes(conversation.kept)) is not None:
            self._end(descriptor)  # nothing more can be learnt without its keys

    def _answer_over_tcp(self, conversation: Conversation) -> None:
        assert conversation.connection is not None  # noqa: S101 - as above
        size = int.from_bytes(conversation.kept[:2], "big")
        if 0 < size <= len(conversation.kept) - 2:
            response = self._look_up(bytes(conversation.kept[2 : 2 + size]), conversation)
            if response:
                with suppress(OSError):
                    conversation.connection.send(len(response).to_bytes(2, "big") + response)

    def _hear_datagrams(self, sock: socket.socket) -> None:
        for _ in range(64):
            try:
                data, control, _, sender = sock.recvmsg(65536, 128)
            except OSError:
                return
            meant = self._meant(_reached(sock, control))
            port = sock.getsockname()[1]
            now = time.monotonic()
            if port == DNS:
                conversation = Conversation("udp", meant, port, now, now)
                response = self._look_up(data, conversation)
                if response is not None:
                    # From the address that was asked, or the resolver does not take it.
                    with suppress(OSError):
                        sock.sendmsg([response], control, 0, sender)
                    continue
            new = Conversation("udp", meant, port, now, now)
            self._of_datagrams((meant, port, str(sender)), new).take(data)

    def _of_datagrams(self, key: tuple[str, int, str], new: Conversation) -> Conversation:
        """The conversation with that address, port and sender; `new` if there is none yet."""
        if key not in self._datagrams and len(self._datagrams) >= _MOST_CONVERSATIONS:
            self._report(self._datagrams.pop(next(iter(self._datagrams))))
        return self._datagrams.setdefault(key, new)

    def _look_up(self, query: bytes, conversation: Conversation) -> bytes | None:
        found = dns.answer(query, self._names)
        if found is None:
            return None
        name, kind, response = found
        self._tell(
            t=conversation.began,
            protocol="dns",
            address=conversation.address,
            port=conversation.port,
            domain=name,
            preview=f"{kind} {name}",
            size=len(query),
        )
        return response

    def _end(self, descriptor: int) -> None:
        conversation = self._conversations.pop(descriptor)
        self._poll.unregister(descriptor)
        if conversation.connection is not None:
            conversation.connection.close()
        if not (conversation.port == DNS and conversation.total):
            self._report(conversation)

    def _report(self, conversation: Conversation) -> None:
        kept = bytes(conversation.kept)
        name = server_name(kept)
        self._tell(
            t=conversation.began,
            protocol="tls" if name is not None else conversation.protocol,
            address=conversation.address,
            port=conversation.port,
            domain=name or self.domain(conversation.address),
            preview=text(kept) if name is None else f"TLS ClientHello for {name or 'no name'}",
            size=conversation.total,
        )


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in what blocks for longer. Not by the socket's own timeout: the worker holds
    the same socket, and may change that meanwhile."""
    armed = True

    def ring(*_: object) -> None:
        if armed:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _family(target: tuple[str, int]) -> int:
    """The family that traffic to the target has on the wire: a mapped address is IPv4."""
    mapped = target[0].startswith("::ffff:") and "." in target[0]
    return socket.AF_INET if mapped or ":" not in target[0] else socket.AF_INET6


def plain(address: str) -> str:
    """An address without a zone, and IPv4 out of its IPv6 mapping."""
    return address.partition("%")[0].removeprefix("::ffff:")


def _request_is_whole(conversation: Conversation) -> bool:
    """Whether a plain HTTP request has come to its end, or further than is kept of it."""
    head, found, _ = bytes(conversation.kept).partition(b"\r\n\r\n")
    if not found:
        return conversation.total >= _KEPT
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            return conversation.total >= len(head) + 4 + int(value.strip()[:9])
    return True


def _reached(sock: socket.socket, control: list[Any]) -> str:
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
