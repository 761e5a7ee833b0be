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
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.sandbox.kernel.process import getfd
from safe_load.sandbox.protocol import Egress
from safe_load.sandbox.room.monitor import dns
from safe_load.sandbox.room.monitor.aliases import Aliases
from safe_load.sandbox.room.monitor.decode import text
from safe_load.sandbox.room.monitor.wire import (
    METHODS,
    family_of,
    plain,
    reached,
    request_is_whole,
    server_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.sandbox.room.monitor.gate import Gate

_KEPT = 4096  # bytes of each conversation
_MOST_LISTENERS, _MOST_CONVERSATIONS = 256, 128
_MOST_REMEMBERED = 4096
_PATIENCE_S = 1.0  # a conversation in which nothing is said is ended
_CONNECT_S = 0.05  # on loopback it takes microseconds, unless the socket drops the answer
DNS = 53
_NO_CONTENT = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass
class Conversation:
    """One connection, or the datagrams of one sender to one address."""

    protocol: str
    address: str
    port: int
    began: float
    transcript: float
    total: int = 0
    kept: bytearray = field(default_factory=bytearray)
    connection: socket.socket | None = None
    who: tuple[int, str] = (0, "")

    def take(self, data: bytes) -> None:
        self.transcript = time.monotonic()
        self.total += len(data)
        self.kept += data[: _KEPT - len(self.kept)]


class Sinkhole:
    """Holds all listeners of the room. poll: the supervisor's; tell: called once per conversation
    and look-up with what the report calls egress; routed: whether every address leads here. gate: of
    a program's room: hands over what is allowed, and says how what is not is refused."""

    def __init__(
        self,
        poll: select.poll,
        tell: Callable[[Egress], None],
        *,
        routed: bool,
        gate: Gate | None = None,
    ) -> None:
        self._poll = poll
        self._tell = tell
        self._aliases = None if routed else Aliases()
        self._names = dns.Names()
        self._gate = gate
        self.gated = gate is not None
        for host in gate.hosts if gate is not None else ():
            self._names.address(host, version=4)  # before anybody fills the table
        #: Pid and name of the process whose call is carried out, in a program's room.
        self.who = (0, "")
        self._last: dict[tuple[str, int], tuple[int, str]] = {}
        self._listeners: dict[int, tuple[socket.socket, str]] = {}
        self._ports: dict[tuple[int, str, int], int] = {}
        self._conversations: dict[int, Conversation] = {}
        self._datagrams: dict[tuple[str, int, str], Conversation] = {}
        self._sent = self._heard = 0  # datagrams, of those that the supervisor sends itself

    def redirect(self, sock: socket.socket, target: tuple[str, int]) -> None:
        """Connect the worker's own socket (a duplicate of it) to `target`, which is us.

        Raises OSError with the errno that the worker shall see."""
        self._remember(target)
        target = self._prepare(sock, target)
        # A non-blocking one is established by the time we accept.
        with suppress(BlockingIOError), _at_most(_CONNECT_S):
            sock.connect(target)
        if sock.type & socket.SOCK_STREAM:
            # At once, so that the queue of connections is never long enough to block us.
            self._accept(self._ports[(family_of(target), "tcp", target[1])])

    def listener_for(self, family: int, kind: int, target: tuple[str, int]) -> tuple[str, int]:
        """Where a socket of that family and kind shall be led that wants to reach `target`: we listen
        there. Raises OSError as `redirect`."""
        address, port = target
        if self._aliases is not None:
            address = self._aliases.of(address)
        if family == socket.AF_INET6 and ":" not in address:
            address = f"::ffff:{address}"
        self._listen(family_of((address, port)), kind, port)
        return address, port

    def send(self, sock: socket.socket, data: bytes, target: tuple[str, int]) -> int:
        """Send for the worker to an address. Raises OSError as `redirect`."""
        if sock.type & socket.SOCK_STREAM:  # TCP Fast Open: connect and send in one
            self.redirect(sock, target)
            return sock.send(data, socket.MSG_DONTWAIT)
        self._remember(target)
        target = self._prepare(sock, target)
        self._sent += 1
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
            self._hear_the_last()
            for descriptor, (_, protocol) in list(self._listeners.items()):
                if protocol == "tcp":
                    self._accept(descriptor)
        for descriptor, conversation in list(self._conversations.items()):
            if final:
                self._hear(descriptor)
            if descriptor in self._conversations and (final or conversation.transcript < late):
                self._end(descriptor)
        for key, conversation in list(self._datagrams.items()):
            if final or conversation.transcript < late:
                del self._datagrams[key]
                self._report(conversation)

    def _hear_the_last(self) -> None:
        """Datagrams that were sent just before the end: where the kernel has much to do, it delivers
        them a little later."""
        deadline = time.monotonic() + _CONNECT_S
        while True:
            for sock, protocol in tuple(self._listeners.values()):
                if protocol == "udp":
                    self._hear_datagrams(sock)
            if self._heard >= self._sent or time.monotonic() > deadline:
                return
            time.sleep(0.001)

    def _prepare(self, sock: socket.socket, target: tuple[str, int]) -> tuple[str, int]:
        """Have a listener for what the socket is about to reach; the target as the socket takes it."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            raise OSError(errno.ECONNREFUSED, "no listener for this family")
        if self._aliases is not None and sock.family == socket.AF_INET6:
            with suppress(OSError):  # it is bound already: the connection fails below
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return self.listener_for(sock.family, sock.type, target)

    def _remember(self, target: tuple[str, int]) -> None:
        """Who reaches out for that address."""
        if self._gate is not None and len(self._last) < _MOST_REMEMBERED:
            self._last[plain(target[0]), target[1]] = self.who

    def _listen(self, af: int, kind: int, port: int) -> None:
        protocol = "tcp" if kind & socket.SOCK_STREAM else "udp"
        key = (af, protocol, port)
        if key in self._ports:
            return
        if port == 0 or (len(self._ports) >= _MOST_LISTENERS and port != DNS):
            raise OSError(errno.ECONNREFUSED, "too many ports")
        sock = socket.socket(af, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if af == socket.AF_INET6:
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
        return address if self._aliases is None else self._aliases.expected(address)

    def _accept(self, descriptor: int) -> None:
        listener, _ = self._listeners[descriptor]
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if len(self._conversations) >= _MOST_CONVERSATIONS:
                self._end(
                    min(self._conversations, key=lambda each: self._conversations[each].transcript)
                )
            connection.setblocking(False)
            where = connection.getsockname()
            address, port = self._meant(plain(where[0])), where[1]
            now, who = time.monotonic(), self._last.get((address, port), (0, ""))
            if self._gate is not None and self._gate.hands_over(
                connection, self.domain(address), address, port, who
            ):
                continue
            conversation = Conversation(
                "tcp", address, port, now, now, connection=connection, who=who
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
        elif self._gate is not None:
            if self._gate.refuses(
                conversation.connection, bytes(conversation.kept), conversation.total
            ):
                self._end(descriptor)
        elif conversation.kept.startswith(METHODS) and request_is_whole(
            bytes(conversation.kept), conversation.total, _KEPT
        ):
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
            self._heard += 1
            expected = self._meant(reached(sock, control))
            port = sock.getsockname()[1]
            now, who = time.monotonic(), self._last.get((expected, port), (0, ""))
            if port == DNS:
                conversation = Conversation("udp", expected, port, now, now, who=who)
                response = self._look_up(data, conversation)
                if response is not None:
                    # From the address that was asked, or the resolver does not take it.
                    with suppress(OSError):
                        sock.sendmsg([response], control, 0, sender)
                    continue
            new = Conversation("udp", expected, port, now, now, who=who)
            self._of_datagrams((expected, port, str(sender)), new).take(data)

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
            Egress(
                t=conversation.began,
                protocol="dns",
                address=conversation.address,
                port=conversation.port,
                domain=name,
                preview=f"{kind} {name}",
                size=len(query),
                pid=conversation.who[0],
                comm=conversation.who[1],
            )
        )
        return response

    def _end(self, descriptor: int) -> None:
        conversation = self._conversations.pop(descriptor)
        self._poll.unregister(descriptor)
        if conversation.connection is not None:
            if self._gate is not None:
                self._gate.hang_up(conversation.connection)
            conversation.connection.close()
        if not (conversation.port == DNS and conversation.total):
            self._report(conversation)

    def _report(self, conversation: Conversation) -> None:
        kept = bytes(conversation.kept)
        name = server_name(kept)
        self._tell(
            Egress(
                t=conversation.began,
                protocol="tls" if name is not None else conversation.protocol,
                address=conversation.address,
                port=conversation.port,
                domain=name or self.domain(conversation.address),
                preview=text(kept) if name is None else f"TLS ClientHello for {name or 'no name'}",
                size=conversation.total,
                pid=conversation.who[0],
                comm=conversation.who[1],
            )
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
