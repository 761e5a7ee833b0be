"""What crosses the border of a room: the order that goes in, and the messages that come back.

Both sides import this module, so it uses the standard library only. An order is a frozen dataclass,
written as one line of JSON, with the protocol's version in it. Messages are a tagged union: one line
of JSON each, whose `kind` names the class. What does not fit is refused with the name of the field.

Zone: both. What `read_message`, `read_outcome` and `read_state` are given may be hostile: they check
each field's type and build nothing else. How much may come is for the reader of the pipe to bound.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args

from safe_load.sandbox import codec, containment
from safe_load.sandbox.containment import Containment, Policy  # noqa: TC002 - the codec reads it
from safe_load.sandbox.program import Program  # noqa: TC002 - the codec reads it

if TYPE_CHECKING:
    from collections.abc import Sequence

ProtocolError = codec.ProtocolError
Limits = containment.Limits
T = TypeVar("T")
#: Of orders and messages. A controller and a room of different versions refuse each other.
VERSION = 1
#: The worker's line to the supervisor has this number while the filter is installed: its reads and
#: writes come before anyone could answer for them.
CONTROL_DESCRIPTOR = 1000
#: The word that each line of a container's stream begins with: so many hexadecimal digits.
SIGN_BYTES = 32

#: The cell and its supervisor, over that line: "trace me" and "go".
TRACE_ME, GO = b"?", b"!"
#: What a warm room's broker is asked: to hold this base, or to have a job done by one of its zygotes.
BASE, LIGHT, HEAVY = b"base", b"light", b"heavy"
#: What a warm room or a waiting container says when it waits for jobs.
READY = b"ready"
#: What a waiting container says when a job left it as it was, and when no job came for long enough.
AGAIN, BORED = b"again", b"idle"
#: The exit code of a warm room to which no job came for long enough.
IDLE = 75
MOST_OUTPUTS = 200  # SCM_RIGHTS takes 253 descriptors at a time (unix(7))

Status = Literal["ok", "crashed", "limit", "broken", "interrupted"]
Decision = Literal["allowed", "denied", "redirected"]
Identity = tuple[int, int]  # device and inode


class Descriptors(NamedTuple):
    """What comes with each job for a warm room or a waiting container, in this order; outputs follow."""

    order: int
    events: int
    result: int
    output: int
    lifeline: int

    @classmethod
    def split(cls, passed: Sequence[int]) -> tuple[Descriptors, list[int]]:
        """The named descriptors, and the rest. Raises ProtocolError."""
        count = len(cls._fields)
        if len(passed) < count:
            raise ProtocolError(
                f"descriptors: {len(passed)} came, and {', '.join(cls._fields)} are needed"
            )
        return cls(*passed[:count]), list(passed[count:])


@dataclass(frozen=True)
class File:
    """A file that the room shows at `target`. source: its path on the host, "" where it is shown
    already; identity: what it must be, None where that is not known or cannot be told."""

    source: str
    target: str
    identity: Identity | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """One job, and the room that it is done in.

    stage: the job's name in the record. entry: "module:function"; preload: modules that are imported
    before the last wall closes. planted: path -> text of files that exist only inside. walls: those
    that must stand before the job begins. mapped: bytes of the files that the worker may map.
    landlock: the newest ABI that is used. sinkhole: what the worker sends is taken, by nobody.
    signed: the supervisor asks for a word by which its lines are known. mark: a path that it opens, once
    the last wall has closed, for whoever watches from outside. program: runs in place of `entry`."""

    stage: str
    entry: str
    argument: dict[str, Any]
    preload: tuple[str, ...]
    environment: dict[str, str]
    planted: dict[str, str]
    files: tuple[File, ...]
    walls: tuple[str, ...]
    limits: Limits
    policy: Policy
    containment: Containment
    mapped: int
    output_limit: int
    landlock: int
    sinkhole: bool
    signed: bool = False
    mark: str | None = None
    program: Program | None = None


@dataclass(frozen=True, kw_only=True)
class HostOrder(Order):
    """For a room that is built here, from the host's own files.

    folders: (source, target); covered: folders inside that appear empty; empty: folders that stay
    empty; links: path -> target. quiet: where reading is counted and not told; readable: what
    the worker may read. sys_path, package: of its interpreter. separate_user: the worker may have a user
    of its own, as everything here may be read by all. place: the folder for what a room without
    namespaces keeps on the disk. result, output, outputs: descriptors (0 and none in a warm room, where
    they come with each job)."""

    folders: tuple[tuple[str, str], ...]
    covered: tuple[str, ...]
    empty: tuple[str, ...]
    links: dict[str, str]
    quiet: tuple[str, ...]
    readable: tuple[str, ...]
    sys_path: tuple[str, ...]
    package: str
    separate_user: bool
    place: str = ""
    result: int = 0
    output: int = 0
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ContainerOrder(Order):
    """For a room that an engine has built.

    site: the folder of all packages; user: who the container's processes must be; namespaces: those of
    the controller, by kind, which must be others; tmpfs: path -> the most bytes that it may hold;
    memory, tasks: the container's own limits, None where nobody set one; folders: those of the job's
    files. outputs: of each output file its identity, or the word that the controller has written
    there."""

    site: str
    user: int
    namespaces: dict[str, str]
    tmpfs: dict[str, int]
    memory: int
    tasks: int
    folders: tuple[str, ...]
    outputs: tuple[Identity | str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Warming:
    """What is imported ahead. entries: of jobs that use all of the base order's `preload`; light: of
    jobs that use none of it; idle: seconds without a job after which it ends."""

    entries: tuple[str, ...]
    light: tuple[str, ...] = ()
    idle: float


@dataclass(frozen=True, kw_only=True)
class WarmHostOrder:
    """The first order of a warm room."""

    base: HostOrder
    warming: Warming


@dataclass(frozen=True, kw_only=True)
class WarmContainerOrder:
    """The first order of a waiting container."""

    base: ContainerOrder
    warming: Warming


@dataclass(frozen=True)
class Wall:
    """A wall that was looked at."""

    name: str
    state: Literal["standing", "missing"]
    detail: str = ""


@dataclass(frozen=True)
class Refused:
    """This machine lets nobody make namespaces: nothing was built, and nothing has run."""


@dataclass(frozen=True)
class Supervisor:
    """The supervisor's pid, as the host has it."""

    pid: int


@dataclass(frozen=True)
class Shown:
    """A file of the model, by its content: in rooms that cannot tell its identity."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Ask:
    """The supervisor asks for the word that its lines shall begin with."""


@dataclass(frozen=True)
class Sealed:
    """The last wall has closed, at `t`. quiet: below which folders reading is counted and not told."""

    t: float
    quiet: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Event:
    """A recorded system call. t: the supervisor's time.monotonic()."""

    t: float
    stage: str
    pid: int
    ppid: int
    comm: str
    syscall: str
    args: dict[str, Any]
    decision: Decision
    errno: str | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the trace of level "full"."""

    t: float
    stage: str
    pid: int
    syscall: str
    args: dict[str, Any]
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Egress:
    """What was said to the sinkhole in one conversation, or in one look-up of a name. pid, comm: who
    reached out last for that address, of a program's room."""

    t: float
    protocol: str
    address: str
    port: int
    domain: str | None
    preview: str
    size: int
    pid: int = 0
    comm: str = ""


@dataclass(frozen=True, kw_only=True)
class End:
    """How the room ended. syscalls: name -> (allowed, not allowed); repeated: number of an event ->
    how often it came; dropped: what was seen and not told. peak_memory: in bytes; cpu_s: in seconds;
    output: what the worker printed, where the supervisor alone hears that. code: a program's exit
    code, 128 + N for signal N; left: the names of processes that it left running."""

    status: Status
    reason: str
    syscalls: dict[str, tuple[int, int]] = field(default_factory=dict)
    repeated: dict[int, int] = field(default_factory=dict)
    dropped: int = 0
    complete: bool = True
    peak_memory: int = 0
    peak_tasks: int = 0
    cpu_s: float = 0.0
    output: str | None = None
    code: int | None = None
    left: tuple[str, ...] = ()


Message = Wall | Refused | Supervisor | Shown | Ask | Sealed | Event | Call | Egress | End


@dataclass(frozen=True)
class Returned:
    """What the job's function returned. The worker's word: hostile."""

    value: dict[str, Any]


@dataclass(frozen=True)
class Raised:
    """What the job's function raised. exhausted: which limit the exception tells of. As hostile."""

    text: str
    exhausted: Literal["memory", "disk"] | None = None


Outcome = Returned | Raised


@dataclass(frozen=True)
class Standing:
    """The cell stands: (name, detail) of its walls."""

    walls: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class NotStanding:
    """A cell, a warm room or a waiting container does not stand. refused: as Refused."""

    reason: str
    refused: bool = False


State = Standing | NotStanding


_MESSAGES: dict[str, type] = {
    kind.__name__.lower(): kind
    for kind in (*get_args(Message), *get_args(Outcome), *get_args(State))
}
_KINDS = {kind: name for name, kind in _MESSAGES.items()}
#: How a line of the trace begins: those are handed on unread.
CALL_PREFIX = b'{"kind":"call",'


def write_order(order: object) -> bytes:
    """An order as one line, without its end."""
    return json.dumps({"version": VERSION, **codec.plain(order)}, separators=(",", ":")).encode()


def read_order(kind: type[T], data: bytes) -> T:
    """The order in one line. Raises ProtocolError."""
    found = codec.parsed(data)
    version = found.pop("version", None)
    if version != VERSION:
        raise ProtocolError(f"version: {version!r} of the room's protocol, and this is {VERSION}")
    return codec.reader(kind)(found, "")  # type: ignore[arg-type,no-any-return]


def write(message: Message | Outcome | State) -> bytes:
    """A message as one line, without its end. Quick: an event is written while its caller waits."""
    return json.dumps(
        {"kind": _KINDS[type(message)], **message.__dict__}, separators=(",", ":")
    ).encode()


def read_message(found: object) -> Message:
    """The message of the supervisor in a decoded line of JSON. Raises ProtocolError."""
    return _tagged(found, Message)  # type: ignore[no-any-return]


def read_outcome(found: object) -> Outcome:
    """What the worker said in the end, decoded. Raises ProtocolError."""
    return _tagged(found, Outcome)  # type: ignore[no-any-return]


def read_state(data: bytes) -> State:
    """Whether a cell, a warm room or a waiting container stands. Raises ProtocolError."""
    return _tagged(codec.parsed(data), State)  # type: ignore[no-any-return]


def _tagged(found: object, union: Any) -> Any:
    if not isinstance(found, dict):
        raise ProtocolError("an object is needed")
    kind = found.get("kind")
    wanted = _MESSAGES.get(kind) if isinstance(kind, str) else None
    if wanted is None or wanted not in get_args(union):
        raise ProtocolError(f"kind: {str(kind)[:40]!r} is unknown")
    rest = {name: value for name, value in found.items() if name != "kind"}
    return codec.reader(wanted)(rest, str(kind))


def send(line: socket.socket, data: bytes, descriptors: Sequence[int]) -> None:
    """One message with descriptors over a line of a warm room. Raises OSError."""
    socket.send_fds(line, [data], list(descriptors))


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """The next message and its descriptors; b"" when the other side is gone. Raises OSError."""
    data, descriptors, _, _ = socket.recv_fds(line, 8192, 253)
    return data, descriptors
