"""What a room is told that runs a program in place of a job of ours, and the words on its line.

Zone: both sides of a room's border, so standard library only. The line is a pair of AF_UNIX
sockets that keep messages apart. The supervisor holds one end, the controller the other; no
process that runs the program's code has it. The supervisor hands over connections: each message is
one `Passed`, and brings the descriptor of the room's own end. The controller sends `Signal`s.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

#: Bytes of the longest message on the line.
LONGEST = 4096


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program, started as pid 1's child once the walls stand.

    argv: argv[0] is the path to execute, inside. environment: all of its variables. folder: its working
    directory. umask: as the caller's. The job's outputs are its standard streams, in that order.
    executable: paths that may be executed, besides being readable; writable: folders of the host
    that it may write to. line: a descriptor, see above. allowed: (host, port) of the connections that
    are handed over; a host is a name in lower case, or an address as `ipaddress` writes it."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    folder: str
    umask: int
    executable: tuple[str, ...]
    writable: tuple[str, ...]
    line: int
    allowed: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Passed:
    """One connection that is handed over. host: as the rule that allows it names it; address: the one
    that the program reached for, a stand-in where it looked the name up; pid, comm: who did."""

    host: str
    address: str
    port: int
    pid: int
    comm: str


@dataclass(frozen=True)
class Signal:
    """A signal for the program and its process group."""

    number: int


def write(message: Passed | Signal) -> bytes:
    """One message for the line."""
    return json.dumps(asdict(message)).encode()
