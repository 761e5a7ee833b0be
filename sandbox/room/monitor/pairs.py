"""The sinkhole where there is no network namespace: the worker's sockets are pairs, and the far end ours.

Whoever asks for a socket of IP gets one end of a pair of AF_UNIX sockets, which no address leads out
of. Where it connects to is only remembered; what it sends comes to the other end, and is answered
as in `sinkhole`. What asks the socket itself (its own address, TCP's options) can see the difference.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.room.monitor.sinkhole import DNS, Conversation, Sinkhole
from safe_load.sandbox.room.process_tree import PROC

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.sandbox.protocol import Egress

_MOST_PAIRS = 128
_FIRST_PORT, _PORTS = 32_768, 28_232  # from which the kernel takes a socket's own (ip(7))
_AF_INET = int(socket.AF_INET).to_bytes(2, "little")
_AF_INET6 = int(socket.AF_INET6).to_bytes(2, "little")
#: A pair that keeps datagrams apart and, unlike AF_UNIX's datagrams, can be sent to nobody else.
_KINDS = {
    int(socket.SOCK_STREAM): socket.SOCK_STREAM,
    int(socket.SOCK_DGRAM): socket.SOCK_SEQPACKET,
    int(socket.SOCK_SEQPACKET): socket.SOCK_SEQPACKET,
}


@dataclass
class _Pair:
    """near: our end; far: the inode of the worker's; target: where it is connected to."""

    near: socket.socket
    far: int
    kind: int
    family: int
    target: tuple[str, int] | None = None


class Pairs(Sinkhole):
    """Holds our end of each socket that the worker asked for. Arguments as Sinkhole's."""

    def __init__(self, poll: select.poll, tell: Callable[[Egress], None]) -> None:
        super().__init__(poll, tell, routed=True)
        self._pairs: dict[int, _Pair] = {}  # by the descriptor of our end
        self._by_inode: dict[int, _Pair] = {}

    def open(self, kind: int, family: int) -> socket.socket:
        """The worker's end of a new pair, for a type and a family as in socket(2). Raises OSError."""
        if len(self._pairs) >= _MOST_PAIRS:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        if kind & 0xF not in _KINDS:
            raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
        near, far = socket.socketpair(socket.AF_UNIX, _KINDS[kind & 0xF])
        near.setblocking(False)
        far.setblocking(not kind & socket.SOCK_NONBLOCK)
        pair = _Pair(near, os.fstat(far.fileno()).st_ino, kind & 0xF, family)
        self._pairs[near.fileno()] = self._by_inode[pair.far] = pair
        self._poll.register(near, 0)  # to be told when nobody has the other end any more
        return far

    @contextmanager
    def held(self, process: int, descriptor: int) -> Iterator[tuple[socket.socket, int]]:
        """Our end, and the type of socket that the worker asked for. Raises OSError."""
        inode = os.stat(f"{PROC}/{process}/fd/{descriptor}").st_ino
        if inode not in self._by_inode:
            raise OSError(errno.ECONNREFUSED, "not a socket that was asked for")
        pair = self._by_inode[inode]
        yield pair.near, pair.kind

    def name(self, process: int, descriptor: int) -> bytes:
        """The address of its own that a socket of IP tells (ip(7), ipv6(7)): one of loopback. b"" for
        one that is not of IP. Raises OSError."""
        with self.held(process, descriptor) as (near, _):
            pair = self._pairs[near.fileno()]
        port = (_FIRST_PORT + pair.far % _PORTS).to_bytes(2, "big")
        if pair.family == socket.AF_INET:
            return _AF_INET + port + socket.inet_aton("127.0.0.1") + bytes(8)
        if pair.family == socket.AF_INET6:
            return _AF_INET6 + port + bytes(4) + bytes(15) + b"\1" + bytes(4)
        return b""

    def peer(self, process: int, descriptor: int) -> dict[str, Any] | None:
        """The address that a socket of datagrams is connected to. Raises OSError."""
        with self.held(process, descriptor) as (near, kind):
            target = self._pairs[near.fileno()].target
            if target is None or kind == socket.SOCK_STREAM:
                return None
            return {"address": target[0], "port": target[1]}

    def redirect(self, sock: socket.socket, target: tuple[str, int]) -> None:
        pair = self._pairs[sock.fileno()]
        descriptor = sock.fileno()
        _require_port(target)
        if pair.kind == socket.SOCK_STREAM:
            if pair.target is not None:
                raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
            now = time.monotonic()
            self._conversations[descriptor] = Conversation(
                "tcp", *target, began=now, transcript=now, connection=sock
            )
        pair.target = target
        self._poll.register(descriptor, select.POLLIN)

    def send(self, sock: socket.socket, data: bytes, target: tuple[str, int]) -> int:
        pair = self._pairs[sock.fileno()]
        _require_port(target)
        if pair.kind == socket.SOCK_STREAM:  # TCP Fast Open
            self.redirect(sock, target)
            self._conversations[sock.fileno()].take(data)
        else:
            self._take_datagram(pair, data, target)
        return len(data)

    def ready(self, descriptor: int) -> bool:
        pair = self._pairs.get(descriptor)
        if pair is None:
            return False
        if descriptor in self._conversations:
            self._hear(descriptor)
        elif pair.target is None or not self._hear_datagram(pair):
            self._forget(pair)
        return True

    def tick(self, *, final: bool = False) -> None:
        if final:  # what was sent last
            for pair in self._pairs.values():
                while pair.kind != socket.SOCK_STREAM and pair.target and _readable(pair.near):
                    if not self._hear_datagram(pair):
                        break
        super().tick(final=final)

    def _hear_datagram(self, pair: _Pair) -> bool:
        """Take one datagram; False when nobody is there to send another."""
        try:
            data = pair.near.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data and _hung_up(pair.near):
            return False
        assert pair.target is not None  # noqa: S101 - only those that are connected are heard
        self._take_datagram(pair, data, pair.target)
        return True

    def _take_datagram(self, pair: _Pair, data: bytes, target: tuple[str, int]) -> None:
        now = time.monotonic()
        conversation = Conversation("udp", *target, began=now, transcript=now)
        if target[1] == DNS and (response := self._look_up(data, conversation)) is not None:
            with suppress(OSError):
                pair.near.send(response)
            return
        self._of_datagrams((*target, str(pair.far)), conversation).take(data)

    def _end(self, descriptor: int) -> None:
        pair = self._pairs.pop(descriptor)
        del self._by_inode[pair.far]
        super()._end(descriptor)

    def _forget(self, pair: _Pair) -> None:
        del self._pairs[pair.near.fileno()], self._by_inode[pair.far]
        self._poll.unregister(pair.near)
        pair.near.close()


def _require_port(target: tuple[str, int]) -> None:
    if target[1] == 0:
        raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def _readable(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])


def _hung_up(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))
