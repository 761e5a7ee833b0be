"""What a sandbox backend is: something that runs one job in one room and tells everything about it.

Zone: controller. A room is used once: `run` builds it, runs the job in it, and returns only when
every process inside is dead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from safe_load.profiles import Profile

Status = Literal["ok", "crashed", "limit", "broken", "interrupted"]


@dataclass(frozen=True)
class Bind:
    """One regular file of the host that the room shows read-only at `target` (absolute).

    identity: the device and inode that it must still be when the room is built."""

    source: Path
    target: str
    identity: tuple[int, int] | None = None


@dataclass(frozen=True)
class Job:
    """What a room runs.

    entry: "module:function", called as `function(argument, outputs)` once the walls stand; what it
    returns (JSON) becomes `RoomResult.value`.
    preload: modules imported inside the walls but before the seccomp wall closes and before
    any file of the model is near.
    distributions: installed packages that the room shows, with what they require.
    outputs: descriptors handed to the function, and to nobody else.
    planted: files that exist only inside: path -> text; environment: variables besides the few that
    every worker has.
    trace: called with one line of JSON for each call, of all that can be notified: slower, and tells
    everything. None: only what is telling or refused is recorded.
    output_limit: the largest size in bytes of any file the worker may write.
    modules: Python files of the host that the room shows beside the installed packages, so that the
    entry may live in one of them. They come last on the path and hide nothing.
    """

    name: str
    entry: str
    argument: dict[str, Any]
    preload: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    files: tuple[Bind, ...] = ()
    outputs: tuple[int, ...] = ()
    output_limit: int = 0
    planted: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    trace: Callable[[bytes], None] | None = None
    modules: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Wall:
    """name: as in the report; state: standing, weaker or missing."""

    name: str
    state: Literal["standing", "weaker", "missing"]
    detail: str = ""


@dataclass(frozen=True)
class Event:
    """One recorded system call. t: time.monotonic() of the host's clock, in seconds."""

    t: float
    stage: str
    pid: int
    ppid: int
    comm: str
    syscall: str
    args: dict[str, Any]
    decision: Literal["allowed", "denied", "redirected"]
    errno: str | None = None
    count: int = 1


@dataclass(frozen=True)
class Conversation:
    """What was said to the sinkhole on one connection, in one exchange of datagrams, or in one
    look-up. protocol: tcp, udp, tls or dns; domain: the name that was looked up for the address, or
    asked for; preview: the first 4 KiB; size: bytes in all."""

    t: float
    protocol: str
    address: str
    port: int
    domain: str | None
    preview: str
    size: int


@dataclass(frozen=True)
class RoomResult:
    """How one job ended, and everything that was seen.

    status: the first cause, never overwritten by a later accident. "crashed": the worker died or
    raised; "broken": a wall or the recorder failed, so nothing inside can be trusted.
    reason: one sentence. value: what the entry returned, hostile, None unless status is "ok".
    sealed: time.monotonic() at which the last wall closed and the job began.
    shown: the SHA-256 of each file inside, where a room cannot tell the `identity` of what it was given.
    output: the tail of what was printed inside. syscalls: name -> (allowed, denied).
    """

    status: Status
    reason: str
    value: dict[str, Any] | None
    tier: str
    walls: tuple[Wall, ...]
    events: tuple[Event, ...] = ()
    egress: tuple[Conversation, ...] = ()
    syscalls: dict[str, tuple[int, int]] = field(default_factory=dict)
    complete: bool = True
    dropped: int = 0
    output: str = ""
    duration_s: float = 0.0
    sealed: float | None = None
    shown: dict[str, str] = field(default_factory=dict)
    peak_memory: int = 0
    peak_processes: int = 0
    cpu_s: float = 0.0


class BackendError(Exception):
    """The backend is not there, or will not do what is asked. One sentence."""


class Backend(ABC):
    """Builds rooms. `name` and `runtime` are what the report shows; `profile` bounds every room;
    `borrows`: rooms show packages of the Python that runs this, and not their own."""

    name: str
    profile: Profile
    runtime: str | None = None
    borrows: bool = True

    @abstractmethod
    def run(self, job: Job) -> RoomResult:
        """Run one job in a fresh room. Blocks; returns when everything inside is dead.

        Never raises for what happens inside; a room that cannot be built is status "broken".
        """

    def furnishing(self) -> str:
        """What stands for the packages in its rooms, where they are their own: another text whenever
        they are others. Raises BackendError."""
        return ""

    def distrust(self) -> None:  # noqa: B027 - most rooms are used once
        """What ran here was judged: nothing that it ran in shall be used again."""

    def close(self) -> None:  # noqa: B027 - a backend may have nothing to let go of
        """Let go of everything that is kept between jobs."""

    @abstractmethod
    def stop(self) -> None:
        """End every room that runs now; their `run` returns with status "interrupted"."""
