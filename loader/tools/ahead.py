"""What a tool's room needs first, made before the command line is read: its interpreter starts meanwhile.

Zone: controller. Nothing of the caller's is in that interpreter but its streams, and without an order it ends.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

from safe_load.core.errors import UsageError
from safe_load.sandbox.interpreter import Early
from safe_load.tools import streams


class Ahead:
    """streams: for the command; pair: the relay's line; early: the interpreter. Raises OSError, UsageError."""

    def __init__(self) -> None:
        with ExitStack() as stack:
            self.streams = stack.enter_context(streams.handed_in())
            self.pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in self.pair:
                stack.callback(end.close)
            self.early = Early("launch.native", (*self.streams, self.pair[1].fileno()))
            stack.callback(self.early.drop)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End what was not used; what was copied through pipes has been copied."""
        self._stack.close()


_begun: list[Ahead] = []


def begin() -> None:
    """Start. What fails here fails again where the command says why."""
    with suppress(OSError, UsageError):
        _begun.append(Ahead())


def take() -> Ahead | None:
    """What was begun, once; None where nothing was. It is the caller's to close."""
    return _begun.pop() if _begun else None


def drop() -> None:
    """Close what was begun and not taken."""
    while _begun:
        _begun.pop().close()
