"""What of a program's connections is allowed is handed to the controller; the rest reads as refused.

Zone: supervisor. Handed over is the room's own end of a connection inside the room: no socket of the
host is in here, and this process does not copy a byte. What is not allowed stays in the sinkhole,
which has heard its first bytes by then: plain HTTP is answered 403 with the reason, TLS with the
alert "access denied" (RFC 8446, 6.2), everything else with a reset.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from safe_load.sandbox import codec, program
from safe_load.sandbox.room.monitor.wire import METHODS, request_is_whole, server_name

if TYPE_CHECKING:
    from safe_load.sandbox.program import Program

_CONNECT = b"CONNECT "
_HEAD = 4096
_REASON = (
    b"safe-load: this connection was refused. The room of this program lets no connection to this host "
    b"through; `--allow HOST:PORT` would.\n"
)
_FORBIDDEN = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: "
    + str(len(_REASON)).encode()
    + b"\r\n\r\n"
    + _REASON
)
_ACCESS_DENIED = bytes((21, 3, 3, 0, 2, 2, 49))
_RESET = struct.pack("=ii", 1, 0)  # struct linger: closed at once, by a reset (socket(7))


class Gate:
    """Of one room."""

    def __init__(self, told: Program) -> None:
        self._line = socket.socket(fileno=told.line)
        self._line.setblocking(False)
        self.descriptor = told.line
        self._allowed = frozenset(told.allowed)
        self.hosts = tuple(dict.fromkeys(host for host, _ in told.allowed))
        self._answered: set[int] = set()

    def hands_over(
        self,
        connection: socket.socket,
        host: str | None,
        address: str,
        port: int,
        who: tuple[int, str],
    ) -> bool:
        """Hand a connection to the controller, if a rule names the host that was looked up, or the
        address itself. False: it stays. Where the line is full, it stays too."""
        meant = host.lower() if host is not None else address
        if (meant, port) not in self._allowed:
            return False
        message = program.write(program.Passed(meant, address, port, who[0], who[1]))
        try:
            socket.send_fds(self._line, [message], [connection.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            return False
        connection.close()
        return True

    def refuses(self, connection: socket.socket, heard: bytes, total: int) -> bool:
        """Answer what was heard so far of `total` bytes, where that can be done. True: nothing more needs
        to be heard."""
        if heard.startswith((*METHODS, _CONNECT)):
            if total < _HEAD and not request_is_whole(heard, total, _HEAD):
                return False
            answer = _FORBIDDEN
        elif server_name(heard) is not None:
            answer = _ACCESS_DENIED
        else:
            return False
        with suppress(OSError):
            connection.send(answer)
        self._answered.add(connection.fileno())
        return True

    def hang_up(self, connection: socket.socket) -> None:
        """Let a connection that was not answered end as a refused one does."""
        if connection.fileno() in self._answered:
            self._answered.discard(connection.fileno())
            return
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def attend(self, worker: int) -> bool:
        """Pass on a signal that the controller asks for; False when its end is closed."""
        try:
            data = self._line.recv(program.LONGEST)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        number = codec.reader(program.Signal)(codec.parsed(data), "").number
        if number in signal.Signals._value2member_map_:
            try:
                os.killpg(worker, number)  # it leads its group from the start
            except ProcessLookupError:
                with suppress(ProcessLookupError):
                    os.kill(worker, number)
        return True
