"""Who is inside: the processes of a room, and what only its kind of room can say of them.

Zone: supervisor. A room with a pid namespace of its own holds every process that it can see. What
stands alone, without one, is in `alone`.
"""

from __future__ import annotations

import os
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROC = "/proc"
_SOCKETS = re.compile(rb"^sockets: used (\d+)")


class ProcessTree:
    """The processes of the supervisor's own pid namespace. Its pid 1 is the supervisor, or, in a
    container that waits, who has forked it."""

    #: Descriptors that become readable when the room must end, each with the reason.
    lifelines: Mapping[int, str] = MappingProxyType({})

    def others(self) -> list[int]:
        """Every process of the room but the trusted ones."""
        trusted = ("1", str(os.getpid()))
        return [int(name) for name in os.listdir(PROC) if name.isdecimal() and name not in trusted]

    def sockets(self, others: Iterable[int]) -> int:  # noqa: ARG002 - the namespace is asked, not they
        """How many sockets there are inside, AF_UNIX ones included."""
        try:
            with open(f"{PROC}/self/net/sockstat", "rb") as file:
                found = _SOCKETS.match(file.read(256))
        except OSError:
            return 0
        return int(found[1]) if found else 0

    def held(self) -> int:
        """Bytes of memory that everything inside holds, where the kernel counts that as a whole."""
        return 0

    def excess(self, others: Iterable[int]) -> str | None:  # noqa: ARG002 - as above
        """One sentence when a limit is exceeded that no wall of this kind of room holds."""
        return None

    def starved(self) -> str | None:
        """One sentence when the kernel has killed somebody inside for want of memory."""
        return None

    def shown(self, path: str) -> str:
        """A path as the room means it."""
        return path

    def shown_in(self, text: str) -> str:
        """A text in which paths of the room may be."""
        return text

    def end(self) -> None:
        """Leave no process. Here the kernel does it when its pid 1 ends."""
