"""What holds in a room, and what a profile comes to there: the filter, and how it is answered.

Zone: both sides of a room's border, so standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kernel = Literal["linux", "gvisor"]


@dataclass(frozen=True, kw_only=True)
class Containment:
    """What holds in a room. What does not hold there, the filter and the supervisor hold instead.

    kernel: whose system calls the worker makes. namespaces: the room has namespaces of its own
    (False: tier B, the cell stands alone). signals: something besides the filter keeps the worker's
    signals from everybody else. tasks: something besides the supervisor bounds the number of tasks.
    own_user: RLIMIT_NPROC counts the tasks of this room alone. routes: every address leads to the
    room's own network. locks: an advisory lock on a file is seen by nobody outside. notifies: calls wait for the supervisor by notification (False: they stop for a
    tracer)."""

    kernel: Kernel = "linux"
    namespaces: bool = True
    signals: bool = True
    tasks: bool = True
    own_user: bool = True
    routes: bool = True
    locks: bool = True
    notifies: bool = True


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on one room. Sizes in bytes, times in seconds; see safe_load.profiles.Limits."""

    timeout: float
    memory: int
    processes: int
    scratch: int
    scratch_files: int
    open_files: int
    result: int
    events: int


@dataclass(frozen=True)
class Policy:
    """What a profile comes to in one room. program: struct sock_filter[]; names: number -> name of every
    system call that libseccomp knows; audited: names that are recorded and carried out; errnos:
    name -> errno of a refused call; traced: at level "full", what is notified only to be traced:
    name -> alternatives, each a list of (register, mask, value) that must all hold."""

    program: bytes
    names: dict[int, str]
    audited: frozenset[str]
    errnos: dict[str, int]
    traced: dict[str, tuple[tuple[tuple[int, int, int], ...], ...]]
