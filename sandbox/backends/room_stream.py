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
from safe_load.core import typed
from safe_load.sandbox import interpreter, protocol
from safe_load.sandbox.backends.interface import Conversation, Event, RoomResult, Status, Wall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from safe_load.profiles import Profile

_STREAM_LIMIT = 256 << 20
_MOST_CONTAINERS = 1_000_000  # objects and arrays of a result: each takes up to 200 bytes here
_OUTPUT_LIMIT = 64 << 10
DEAF = "the supervisor timed out: it did not exit when it was stopped"
_LOOK_S = 0.25  # how often it is looked whether it should have


@dataclass
class Transcript:
    """What came out of one room so far. quiet: below which folders reading is counted and not told;
    lost: calls that another witness than the supervisor could not tell; shift: from the room's clock
    to ours, None where it is another that is first heard of at the seal."""

    walls: dict[str, Wall] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    egress: list[Conversation] = field(default_factory=list)
    end: protocol.End | None = None
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
    told: Callable[[Conversation], None] | None = None
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
    transcript: Transcript,
    profile: Profile,
    patience_s: float,
    is_overdue: Callable[[], bool] | None = None,
) -> bool:
    """Read all pipes until the event stream ends, which it does when everything inside is dead.
    Bounded in time, and by `is_overdue` where that is given; False when it was given up before that."""
    limits = profile.limits
    deadline = time.monotonic() + limits.timeout + patience_s
    readers: dict[int, Callable[[bytes], bool]] = {
        pipes.events: lambda data: hear(transcript, data),
        pipes.result: lambda data: keep(transcript, data, limits.result),
        pipes.output: lambda data: _tail(transcript, data),
    }
    with selectors.DefaultSelector() as selector:
        for descriptor in readers:
            selector.register(descriptor, selectors.EVENT_READ)
        while pipes.events in selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                transcript.blame(
                    "broken", "the supervisor timed out: it did not end the room at its time limit"
                )
                return False
            if is_overdue is not None and is_overdue():
                transcript.blame("broken", DEAF)
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
    transcript: Transcript, profile: Profile, tier: str, started: float, *, kind: str = "native"
) -> RoomResult:
    """The result of a room that has ended. started: time.monotonic() when it was asked for; kind: of
    room, which decides what may stand in for which wall."""
    end = transcript.end
    if end is None:
        said = transcript.output.decode("utf-8", "backslashreplace").strip()
        transcript.blame(
            "broken",
            "the supervisor exited unexpectedly" + (f": {said.splitlines()[-1]}" if said else ""),
        )
    else:
        if end.status == "crashed":
            _blame_what_it_raised(transcript)
        if end.status != "ok":
            transcript.blame(end.status, end.reason)
    missing = [name for name in profile.demanded(kind) if name not in transcript.walls]
    if transcript.cause is None and missing:
        transcript.blame("broken", f"these walls could not be built: {', '.join(missing)}")
    value = None
    if transcript.cause is None:
        value = _value(transcript) if end is None or end.code is None else {}
    state, reason = transcript.cause or ("ok", "")
    for index, count in (end.repeated if end else {}).items():
        if 0 <= index < len(transcript.events):
            transcript.events[index] = replace(transcript.events[index], count=count)
    return RoomResult(
        status=state,
        reason=reason,
        value=value,
        tier=tier,
        walls=tuple({**_instead(profile, kind), **transcript.walls}.values())
        if transcript.walls
        else (),
        events=tuple(transcript.events),
        egress=tuple(transcript.egress),
        syscalls=end.syscalls if end else {},
        complete=end.complete and not transcript.lost if end else False,
        dropped=(end.dropped if end else 0) + transcript.lost,
        output=transcript.output.decode("utf-8", "backslashreplace"),
        duration_s=time.monotonic() - started,
        sealed=transcript.sealed,
        shown=transcript.shown,
        peak_memory=end.peak_memory if end else 0,
        peak_processes=end.peak_tasks if end else 0,
        cpu_s=end.cpu_s if end else 0.0,
        code=end.code if end else None,
        left=end.left if end else (),
    )


def _instead(profile: Profile, kind: str) -> dict[str, Wall]:
    """What stands in that kind of room for the walls that it cannot have."""
    return {
        name: Wall(name, "weaker", detail)
        for name, detail in profile.stand_ins.get(kind, {}).items()
    }


def _outcome(transcript: Transcript) -> protocol.Outcome | None:
    """What came down the result's pipe. It is the untrusted side's: bounded in size, any JSON."""
    if transcript.result.count(b"{") + transcript.result.count(b"[") > _MOST_CONTAINERS:
        transcript.blame("crashed", "the worker's result has too many parts")
        return None
    try:
        return protocol.read_outcome(typed.plain(bytes(transcript.result)))
    except (msgspec.DecodeError, RecursionError):
        return None
    except protocol.ProtocolError as error:
        transcript.blame("crashed", f"the worker's result is malformed: {error}")
        return None


def _value(transcript: Transcript) -> dict[str, Any] | None:
    """What the job returned."""
    outcome = _outcome(transcript)
    if isinstance(outcome, protocol.Returned):
        return outcome.value
    transcript.blame("crashed", "the worker exited without a result")
    return None


def _blame_what_it_raised(transcript: Transcript) -> None:
    """An exception says more than the exit status that it led to."""
    outcome = _outcome(transcript) if transcript.result else None
    if not isinstance(outcome, protocol.Raised):
        return
    if outcome.exhausted is not None:
        transcript.blame("limit", f"{outcome.exhausted} limit: {outcome.text[:2000]}")
    transcript.blame("crashed", outcome.text[:2000])


def hear(transcript: Transcript, data: bytes) -> bool:
    """Take a piece of the supervisor's stream; False when it cannot be understood."""
    transcript.stream += len(data)
    transcript.pending += data
    *lines, rest = transcript.pending.split(b"\n")
    transcript.pending = bytearray(rest)
    try:
        for line in lines:
            if transcript.sign is not None:
                if not line.startswith(transcript.sign):
                    transcript.blame("broken", "the message did not come from the supervisor")
                    return False
                line = line[len(transcript.sign) :]  # noqa: PLW2901
            if transcript.trace is not None and line.startswith(protocol.CALL_PREFIX):
                transcript.trace(bytes(line))
            else:
                _take(transcript, protocol.read_message(typed.plain(line)))
    except (msgspec.DecodeError, protocol.ProtocolError, RecursionError) as error:
        transcript.blame("broken", f"the recorder's stream is malformed: {error}")
        return False
    if transcript.stream > _STREAM_LIMIT:
        transcript.blame("broken", "the recorder's stream is larger than its limit")
        return False
    return True


def _take(transcript: Transcript, message: protocol.Message) -> None:
    shift = transcript.shift or 0.0
    match message:
        case protocol.Event():
            transcript.events.append(
                Event(
                    t=message.t + shift,
                    stage=message.stage,
                    pid=message.pid,
                    ppid=message.ppid,
                    comm=message.comm,
                    syscall=message.syscall,
                    args=message.args,
                    decision=message.decision,
                    errno=message.errno,
                )
            )
        case protocol.Egress():
            transcript.egress.append(
                Conversation(
                    t=message.t + shift,
                    protocol=message.protocol,
                    address=message.address,
                    port=message.port,
                    domain=message.domain,
                    preview=message.preview,
                    size=message.size,
                    pid=message.pid,
                    comm=message.comm,
                )
            )
            if transcript.told is not None:
                transcript.told(transcript.egress[-1])
        case protocol.Wall(name, "standing", detail):
            transcript.walls[name] = Wall(name, "standing", detail)
        case protocol.Shown() if transcript.sealed is None:
            transcript.shown[message.path] = message.sha256
        case protocol.Ask() if transcript.sign is None:
            transcript.sign = os.urandom(protocol.SIGN_BYTES // 2).hex().encode()
        case protocol.Refused():
            transcript.refused = transcript.sealed is None
        case protocol.Sealed():
            if transcript.shift is None:
                transcript.shift = time.monotonic() - message.t
            transcript.sealed, transcript.quiet = message.t + transcript.shift, message.quiet
        case protocol.End() if transcript.end is None:
            transcript.end = message
            if message.output is not None:
                _tail(transcript, message.output.encode("utf-8", "backslashreplace"))


def keep(transcript: Transcript, data: bytes, limit: int) -> bool:
    """Take a piece of the worker's result; False when it is too much."""
    transcript.result += data
    if len(transcript.result) > limit:
        transcript.blame(
            "limit", f"result limit: the worker's result is larger than {limit >> 20} MiB"
        )
        return False
    return True


def _tail(transcript: Transcript, data: bytes) -> bool:
    transcript.output += data
    del transcript.output[:-_OUTPUT_LIMIT]
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
def opened(made: tuple[dict[str, int], dict[str, int]] | None = None) -> Iterator[Pipes]:
    """A room's pipes, until the end. made: as interpreter.pipes, where they were made ahead."""
    near, far = made or interpreter.pipes()
    pipes = Pipes(**near, far=far)
    try:
        yield pipes
    finally:
        pipes.close_far_ends()
        for descriptor in near.values():
            os.close(descriptor)
