"""What a sandbox backend is: something that runs one job in one room and tells everything about it.

Zone: controller. A room is used once: `run` builds it, runs the job in it, and returns only when
every process inside is dead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from safe_load.sandbox.protocol import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from safe_load.profiles import Profile
    from safe_load.sandbox.program import Program

__all__ = ["Backend", "BackendError", "Bind", "Conversation", "Event", "Job", "RoomResult"]
__all__ += ["Status", "Wall"]


@dataclass(frozen=True)
class Bind:
    """One regular file of the host that the room shows read-only at `target` (absolute).

    identity: the device and inode that it must still be when the room is built."""

    source: Path
    target: str
    identity: tuple[int, int] | None = None


@dataclass(frozen=True)
class Shown:
    """What a program's room shows of the host, read-only but for `Program.writable`. folders, files:
    (source, target inside); links: path inside -> target."""

    folders: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


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
    alike: files of the host that are not shown, but must be readable by the job's user too, so that a
    warm session needs one room for jobs over the same source.
    program: runs in place of the entry, with `outputs` as its standard streams; shown: what it finds.
    Only rooms of the native backend, of tier A, run programs. told: called with each conversation of
    the sinkhole when it has ended, while the room still runs.
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
    alike: tuple[Path, ...] = ()
    program: Program | None = None
    shown: Shown | None = None
    told: Callable[[Conversation], None] | None = None


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
    asked for; preview: the first 4 KiB; size: bytes in all. pid, comm: who reached out last for that
    address, of a program's room."""

    t: float
    protocol: str
    address: str
    port: int
    domain: str | None
    preview: str
    size: int
    pid: int = 0
    comm: str = ""


@dataclass(frozen=True)
class RoomResult:
    """How one job ended, and everything that was seen.

    status: the first cause, never overwritten by a later accident. "crashed": the worker died or
    raised; "broken": a wall or the recorder failed, so nothing inside can be trusted.
    reason: one sentence. value: what the entry returned, hostile, None unless status is "ok".
    sealed: time.monotonic() at which the last wall closed and the job began.
    shown: the SHA-256 of each file inside, where a room cannot tell the `identity` of what it was given.
    output: the tail of what was printed inside. syscalls: name -> (allowed, denied). code: a program's
    exit code; left: the names of processes that it left running.
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
    code: int | None = None
    left: tuple[str, ...] = ()


class BackendError(Exception):
    """The backend is not there, or will not do what is asked. One sentence."""


class Backend(ABC):
    """Builds rooms. `name` and `runtime` are what the report shows; `profile` bounds every room;
    `borrows`: rooms show packages of the Python that runs this, and not their own."""

    name: str
    profile: Profile
    runtime: str | None = None
    uses_host_packages: bool = True

    @abstractmethod
    def run(self, job: Job) -> RoomResult:
        """Run one job in a fresh room. Blocks; returns when everything inside is dead.

        Never raises for what happens inside; a room that cannot be built is status "broken".
        """

    def packages_id(self) -> str:
        """What stands for the packages in its rooms, where they are their own: another text whenever
        they are others. Raises BackendError."""
        return ""

    def warm_up(self, files: Sequence[Path] = ()) -> None:  # noqa: B027 - most rooms are made with their job
        """Make what serves many jobs now, so that its time is no job's. files: of the next job, as far as they are
        known: who may read them may decide which room it gets. Raises OSError when it cannot be; a job says so too."""

    def discard_warm(self) -> None:  # noqa: B027 - most rooms are used once
        """What ran here was judged: nothing that it ran in shall be used again."""

    def close(self) -> None:  # noqa: B027 - a backend may have nothing to let go of
        """Let go of everything that is kept between jobs."""

    @abstractmethod
    def stop(self) -> None:
        """End every room that runs now; their `run` returns with status "interrupted"."""
