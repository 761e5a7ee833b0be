"""What comes back from a room through its pipes: read, bounded, and turned into a result.

Zone: controller. The supervisor writes the event stream; the worker, which may be anything by then,
writes result and output. Every line has a type, every pipe a bound, and the first cause stands.
"""

from __future__ import annotations

import os
import select
import selectors
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.sandbox.backends.interface import Conversation, Event, RoomResult, Status, Wall
from safe_load.sandbox.room.recorder import SIGN_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.profiles import Profile

_STREAM_LIMIT = 256 << 20
_TRACED = b'{"kind":"call",'
_MOST_CONTAINERS = 1_000_000  # objects and arrays of a result: each takes up to 200 bytes here
_OUTPUT_LIMIT = 64 << 10
_STATUSES = ("ok", "crashed", "limit", "broken", "interrupted")
_EXHAUSTED = ("memory", "disk")
DEAF = "the supervisor did not end when it was told to"
_LOOK_S = 0.25  # how often it is looked whether it should have


class _Message(msgspec.Struct, frozen=True):
    """One line of the supervisor's stream; see safe_load.sandbox.room.recorder."""

    kind: str
    name: str = ""
    state: str = ""
    detail: str = ""
    t: float = 0.0
    stage: str = ""
    pid: int = 0
    ppid: int = 0
    comm: str = ""
    syscall: str = ""
    args: dict[str, Any] = {}
    decision: str = ""
    errno: str | None = None
    status: str = ""
    reason: str = ""
    syscalls: dict[str, tuple[int, int]] = {}
    repeated: dict[str, int] = {}
    dropped: int = 0
    complete: bool = True
    peak_memory: int = 0
    peak_tasks: int = 0
    cpu_s: float = 0.0
    output: str | None = None
    protocol: str = ""
    address: str = ""
    port: int = 0
    domain: str | None = None
    preview: str = ""
    size: int = 0
    quiet: tuple[str, ...] = ()
    path: str = ""
    sha256: str = ""


@dataclass
class Heard:
    """What came out of one room so far. quiet: below which folders reading is counted and not told;
    lost: calls that another witness than the supervisor could not tell; shift: from the room's clock
    to ours, None where it is another that is first heard of at the seal."""

    walls: dict[str, Wall] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    egress: list[Conversation] = field(default_factory=list)
    end: _Message | None = None
    sealed: float | None = None
    quiet: tuple[str, ...] = ()
    lost: int = 0
    shown: dict[str, str] = field(default_factory=dict)
    shift: float | None = 0.0
    result: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    pending: bytearray = field(default_factory=bytearray)
    stream: int = 0
    cause: tuple[Status, str] | None = None
    trace: Callable[[bytes], None] | None = None
    sign: bytes | None = None
    """What each line must begin with, once the supervisor has asked for it (None: it has not)."""
    refused: bool = False
    """This machine lets nobody make namespaces: nothing was built, and nothing has run."""

    def blame(self, status: Status, reason: str) -> None:
        """The first cause stands; later accidents do not overwrite it."""
        if self.cause is None:
            self.cause = (status, reason)


def listen(
    pipes: Pipes,
    heard: Heard,
    profile: Profile,
    patience_s: float,
    is_overdue: Callable[[], bool] | None = None,
) -> bool:
    """Read all pipes until the event stream ends, which it does when everything inside is dead.
    Bounded in time, and by `is_overdue` where that is given; False when it was given up before that."""
    limits = profile.limits
    deadline = time.monotonic() + limits.timeout + patience_s
    readers: dict[int, Callable[[bytes], bool]] = {
        pipes.events: lambda data: hear(heard, data),
        pipes.result: lambda data: keep(heard, data, limits.result),
        pipes.output: lambda data: _tail(heard, data),
    }
    with selectors.DefaultSelector() as selector:
        for descriptor in readers:
            selector.register(descriptor, selectors.EVENT_READ)
        while pipes.events in selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                heard.blame("broken", "the supervisor did not keep the time limit")
                return False
            if is_overdue is not None and is_overdue():
                heard.blame("broken", DEAF)
                return False
            for key, _ in selector.select(left if is_overdue is None else min(left, _LOOK_S)):
                data = os.read(key.fd, 1 << 18)
                if not data:
                    selector.unregister(key.fd)
                elif not readers[key.fd](data):
                    return False
    for descriptor in (pipes.result, pipes.output):
        while (data := _drain(descriptor)) and readers[descriptor](data):
            pass
    return True


def ended(pipes: Pipes, seconds: float) -> bool:
    """Whether the event stream ends within that time; what still comes is thrown away."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(pipes.events, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if poll.poll(left * 1000) and not os.read(pipes.events, 1 << 18):
            return True
    return False


def conclude(
    heard: Heard, profile: Profile, tier: str, started: float, *, kind: str = "native"
) -> RoomResult:
    """The result of a room that has ended. started: time.monotonic() when it was asked for; kind: of
    room, which decides what may stand in for which wall."""
    end = heard.end
    if end is None:
        said = heard.output.decode("utf-8", "backslashreplace").strip()
        heard.blame(
            "broken", "the supervisor died" + (f": {said.splitlines()[-1]}" if said else "")
        )
    else:
        status: Status = end.status if end.status in _STATUSES else "broken"  # type: ignore[assignment]
        if status == "crashed":
            _blame_what_it_raised(heard)
        if status != "ok":
            heard.blame(status, end.reason)
    missing = [name for name in profile.demanded(kind) if name not in heard.walls]
    if heard.cause is None and missing:
        heard.blame("broken", f"these walls do not stand: {', '.join(missing)}")
    value = _value(heard) if heard.cause is None else None
    state, reason = heard.cause or ("ok", "")
    for index, count in (end.repeated if end else {}).items():
        if index.isdecimal() and int(index) < len(heard.events):
            heard.events[int(index)] = replace(heard.events[int(index)], count=count)
    return RoomResult(
        status=state,
        reason=reason,
        value=value,
        tier=tier,
        walls=tuple({**_instead(profile, kind), **heard.walls}.values()) if heard.walls else (),
        events=tuple(heard.events),
        egress=tuple(heard.egress),
        syscalls=end.syscalls if end else {},
        complete=end.complete and not heard.lost if end else False,
        dropped=(end.dropped if end else 0) + heard.lost,
        output=heard.output.decode("utf-8", "backslashreplace"),
        duration_s=time.monotonic() - started,
        sealed=heard.sealed,
        shown=heard.shown,
        peak_memory=end.peak_memory if end else 0,
        peak_processes=end.peak_tasks if end else 0,
        cpu_s=end.cpu_s if end else 0.0,
    )


def _instead(profile: Profile, kind: str) -> dict[str, Wall]:
    """What stands in that kind of room for the walls that it cannot have."""
    return {
        name: Wall(name, "weaker", detail)
        for name, detail in profile.stand_ins.get(kind, {}).items()
    }


def _said(heard: Heard) -> dict[str, Any] | None:
    """What came down the result's pipe. It is the untrusted side's: bounded in size, any JSON."""
    if heard.result.count(b"{") + heard.result.count(b"[") > _MOST_CONTAINERS:
        heard.blame("crashed", "it said more than anyone would: the result has too many parts")
        return None
    try:
        said = msgspec.json.decode(bytes(heard.result))
    except (msgspec.DecodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _value(heard: Heard) -> dict[str, Any] | None:
    """What the job returned."""
    said = _said(heard)
    if said is None:
        heard.blame("crashed", "it ended before it had said what it found")
    elif isinstance(said.get("value"), dict):
        value: dict[str, Any] = said["value"]
        return value
    heard.blame("crashed", "it said nothing that can be understood")
    return None


def _blame_what_it_raised(heard: Heard) -> None:
    """An exception says more than the exit status that it led to."""
    said = _said(heard) or {}
    raised = said.get("raised")
    if not isinstance(raised, str):
        return
    if said.get("exhausted") in _EXHAUSTED:
        heard.blame("limit", f"{said['exhausted']} limit: {raised[:2000]}")
    heard.blame("crashed", raised[:2000])


def hear(heard: Heard, data: bytes) -> bool:
    """Take a piece of the supervisor's stream; False when it cannot be understood."""
    heard.stream += len(data)
    heard.pending += data
    *lines, rest = heard.pending.split(b"\n")
    heard.pending = bytearray(rest)
    try:
        for line in lines:
            if heard.sign is not None:
                if not line.startswith(heard.sign):
                    heard.blame("broken", "somebody else than the supervisor spoke in its place")
                    return False
                line = line[len(heard.sign) :]  # noqa: PLW2901
            if heard.trace is not None and line.startswith(_TRACED):
                heard.trace(bytes(line))
            else:
                _take(heard, msgspec.json.decode(line, type=_Message))
    except (msgspec.DecodeError, RecursionError) as error:
        heard.blame("broken", f"the recorder's stream does not read: {error}")
        return False
    if heard.stream > _STREAM_LIMIT:
        heard.blame("broken", "the recorder said more than its bound")
        return False
    return True


def _take(heard: Heard, message: _Message) -> None:
    if message.kind == "event" and message.decision in ("allowed", "denied", "redirected"):
        heard.events.append(
            Event(
                t=message.t + (heard.shift or 0.0),
                stage=message.stage,
                pid=message.pid,
                ppid=message.ppid,
                comm=message.comm,
                syscall=message.syscall,
                args=message.args,
                decision=message.decision,  # type: ignore[arg-type]
                errno=message.errno,
            )
        )
    elif message.kind == "egress":
        heard.egress.append(
            Conversation(
                t=message.t + (heard.shift or 0.0),
                protocol=message.protocol,
                address=message.address,
                port=message.port,
                domain=message.domain,
                preview=message.preview,
                size=message.size,
            )
        )
    elif message.kind == "wall" and message.state == "standing":
        heard.walls[message.name] = Wall(message.name, "standing", message.detail)
    elif message.kind == "file" and heard.sealed is None:
        heard.shown[message.path] = message.sha256
    elif message.kind == "ask" and heard.sign is None:
        heard.sign = os.urandom(SIGN_BYTES // 2).hex().encode()
    elif message.kind == "refused":
        heard.refused = heard.sealed is None
    elif message.kind == "sealed":
        if heard.shift is None:
            heard.shift = time.monotonic() - message.t
        heard.sealed, heard.quiet = message.t + heard.shift, message.quiet
    elif message.kind == "end" and heard.end is None:
        heard.end = message
        if message.output is not None:
            _tail(heard, message.output.encode("utf-8", "backslashreplace"))


def keep(heard: Heard, data: bytes, limit: int) -> bool:
    """Take a piece of the worker's result; False when it is too much."""
    heard.result += data
    if len(heard.result) > limit:
        heard.blame("limit", f"result limit: the worker said more than {limit >> 20} MiB")
        return False
    return True


def _tail(heard: Heard, data: bytes) -> bool:
    heard.output += data
    del heard.output[:-_OUTPUT_LIMIT]
    return True


def _drain(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, 1 << 18)
    except BlockingIOError:
        return b""


@dataclass
class Pipes:
    """Our ends of the room's pipes (and the far ends, until they are closed)."""

    events: int
    result: int
    output: int
    far: dict[str, int]

    def close_far_ends(self) -> None:
        while self.far:
            os.close(self.far.popitem()[1])


@contextmanager
def opened() -> Iterator[Pipes]:
    near: dict[str, int] = {}
    far: dict[str, int] = {}
    for name in ("events", "result", "output"):
        near[name], far[name] = os.pipe()
    pipes = Pipes(**near, far=far)
    try:
        yield pipes
    finally:
        pipes.close_far_ends()
        for descriptor in near.values():
            os.close(descriptor)
