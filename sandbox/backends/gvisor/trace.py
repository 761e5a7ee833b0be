"""gVisor's own record of a room: its trace points, received over a socket.

Zone: controller. In gVisor the supervisor answers the worker's calls by ptrace (kernel/ptrace.py),
with all their arguments. This is a second witness, outside of everything that runs inside: the
sentry tells which calls it carried out. A call of the worker's that the filter refuses must never be
among them, and what only the sentry saw is added to the record.

A session of trace points is part of the runtime's registration with the engine, and with it the
place of the socket: `python -m safe_load.sandbox.backends.gvisor.trace` prints it. Controllers take turns
there, each while it starts one container; a container that finds nobody listening does not start.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load import profiles
from safe_load.sandbox.backends.gvisor import trace_points
from safe_load.sandbox.backends.gvisor.trace_points import BadMessage, Point
from safe_load.sandbox.containment import Containment
from safe_load.sandbox.policy import compile_policy
from safe_load.sandbox.room.monitor.aliases import ALIASES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.interface import Event
    from safe_load.sandbox.backends.room_stream import Transcript
    from safe_load.sandbox.protocol import ContainerOrder

FOLDER = Path("/run/safe-load")
#: What the supervisor opens, and nobody else, when the last wall has closed: no such file is there.
MARK = "/sealed"
_MARK = MARK.encode()
_SUPERVISOR = 1
_STOPPED = Containment(notifies=False)
_LAST_POINT = 441  # of the sysno points of release 20221219
_TURN_S, _START_S, _END_S = 120.0, 10.0, 10.0
_HANDSHAKE = 10_240
_BRAND_BYTES = 16
_WAITING = 8  # connections of containers that may be somebody else's
#: A container that a controller is about to start.
_NOTE = re.compile(r"[0-9a-f]{64}\.start")
_CONTEXT = ["time", "thread_id", "group_id", "process_name"]
#: Calls whose arguments the sentry tells. On their way out, when they tell of success too; those that
#: the filter refuses on their way in, as one that succeeds may not come back.
_TYPED_EXITS = ("open", "openat", "creat", "socket", "bind")
_TYPED_ENTERS = ("execve", "execveat", "connect")


class Unfit(Exception):
    """The runtime is not registered so that its rooms can be watched; the message is for people."""


def session(profile: Profile, endpoint: Path = FOLDER / "trace.sock") -> dict[str, Any]:
    """What runsc is given as --pod-init-config: every call that the profile's filter refuses
    whatever its arguments, and those worth telling. Raises policy.PolicyError."""
    points: list[dict[str, Any]] = [
        {"name": "container/start"},
        {"name": "sentry/execve", "context_fields": _CONTEXT},
    ]
    for name in _TYPED_EXITS:
        point = {"name": f"syscall/{name}/exit", "context_fields": [*_CONTEXT, "cwd"]}
        points.append(point | ({"optional_fields": ["fd_path"]} if name == "openat" else {}))
    points += [
        {"name": f"syscall/{name}/enter", "context_fields": _CONTEXT} for name in _TYPED_ENTERS
    ]
    typed = {*_TYPED_EXITS, *_TYPED_ENTERS}
    points += [
        {"name": f"syscall/sysno/{number}/enter", "context_fields": _CONTEXT}
        for number, name in sorted(refused(profile).items())
        if name not in typed and number <= _LAST_POINT
    ]
    # When the socket's buffer is full the caller waits: up to about 5 s, then a message is lost,
    # which the next one tells.
    waits = {"retries": 500, "backoff": "25us", "backoff_max": "10ms"}
    sinks = [{"name": "remote", "config": {"endpoint": str(endpoint), **waits}}]
    return {"trace_session": {"name": "Default", "points": points, "sinks": sinks}}


def refused(profile: Profile) -> dict[int, str]:
    """The calls that the profile's filter refuses whatever their arguments: number -> name. Raises
    policy.PolicyError."""
    policy = compile_policy(profile, _STOPPED)
    answered = {
        name for rule in profiles.seccomp(profile.seccomp).syscalls for name in rule.names
    } | policy.audited
    return {number: name for number, name in policy.names.items() if name not in answered}


def is_gvisor(runtime: Mapping[str, Any]) -> bool:
    """Whether a runtime, as the engine describes it, is gVisor's."""
    return Path(str(runtime.get("path", ""))).name.startswith("runsc")


def adapt(order: ContainerOrder, outputs: tuple[int, ...]) -> ContainerOrder:
    """The order as a room of gVisor needs it. gVisor numbers files itself: pid 1 tells their digests,
    and knows the outputs by what is written there. Raises OSError."""
    files = tuple(replace(file, identity=None) for file in order.files)
    return replace(order, mark=MARK, files=files, outputs=tuple(_brand(outputs)))


def _brand(outputs: tuple[int, ...]) -> list[str]:
    """Write into each output what pid 1 shall find there, and remove: whoever puts another file in
    its place cannot know it. Raises OSError."""
    words = [os.urandom(_BRAND_BYTES).hex() for _ in outputs]
    for descriptor, word in zip(outputs, words, strict=True):
        os.pwrite(descriptor, word.encode(), 0)
    return words


def require_fit(name: str, runtime: Mapping[str, Any], profile: Profile) -> None:
    """Raises Unfit unless that runtime, as the engine describes it, is registered with our session."""
    prefix = "--pod-init-config="
    arguments = [str(each) for each in runtime.get("runtimeArgs") or ()]
    files = [each.removeprefix(prefix) for each in arguments if each.startswith(prefix)]
    how = "docs/backends.md says how to register it"
    if "--network=none" not in arguments:
        raise Unfit(
            f"the runtime {name} is registered without --network=none, so its kernel would be in the "
            f"host's network; {how}"
        )
    if not files:
        raise Unfit(
            f"the runtime {name} is registered without {prefix}FILE, so its rooms cannot be recorded; {how}"
        )
    try:
        found = json.loads(Path(files[-1]).read_bytes())
    except (OSError, ValueError) as error:
        raise Unfit(
            f"the runtime {name} is registered with {files[-1]}, which cannot be read: {error}; {how}"
        ) from error
    if found != session(profile):
        raise Unfit(
            f"the runtime {name} is registered with {files[-1]}, which belongs to another version of safe-load; {how}"
        )


@dataclass
class TraceSession:
    """What the sentry of one container tells. limit: of the calls that are kept."""

    limit: int
    folder: Path = FOLDER
    _points: list[Point] = field(default_factory=list)
    _sealed: bool = False
    _lost: int = 0  # messages since the seal that did not get through, or were too many
    _overflow: int = 0
    _trouble: str = ""
    _found: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _abandoned: list[Path] = field(default_factory=list)

    @contextmanager
    def expect(self, container: str) -> Iterator[None]:
        """Listen while the block starts that container; from then on it is heard. Raises Unfit."""
        with _turn(self.folder) as listener:
            # Nobody else starts one now: what is noted is of controllers that were killed, or failed.
            self._abandoned = [path for path in self.folder.iterdir() if _NOTE.fullmatch(path.name)]
            note = self.folder / f"{container}.start"
            note.touch(0o660)
            self._thread = threading.Thread(
                target=self._serve, args=(listener, container), name="trace", daemon=True
            )
            self._thread.start()
            try:
                yield
                if not self._found.wait(_START_S):
                    raise Unfit("timed out waiting for gVisor's trace of the container")
                note.unlink(missing_ok=True)
            except BaseException:
                self._over.set()
                self._thread.join()
                raise

    def end(self) -> None:
        """Wait for the end of the trace, which comes with the container's; bounded."""
        if self._thread is not None:
            self._thread.join(_END_S)
            if self._thread.is_alive():
                self._trouble = self._trouble or "the trace did not end with the container"
                self._over.set()
                self._thread.join()
        for note in self._abandoned:
            _clear_away(note)

    def merge_into(self, transcript: Transcript, profile: Profile, stage: str) -> None:
        """Add to what the supervisor told, after `end`. A trace that is not whole, or that shows a
        call which the filter refuses, breaks the room."""
        if transcript.sealed is None:
            return
        if self._trouble or not self._sealed:
            reason = self._trouble or "the trace does not show when the last wall closed"
            transcript.blame("broken", f"gVisor's trace is incomplete: {reason}")
        transcript.lost += self._lost
        policy = compile_policy(profile, _STOPPED)
        forbidden = refused(profile)
        told = {_key(event) for event in transcript.events}
        for point in self._points:
            event = trace_points.event(point, policy.names, stage)
            if profile.recording.sinkhole and _was_led(event):
                continue  # the supervisor told whom it was meant for
            if point.number is None or point.number in forbidden:
                transcript.blame(
                    "broken",
                    f"the worker's filter did not hold: gVisor carried out {event.syscall} for it",
                )
            elif _is_quiet(event, transcript.quiet):
                continue
            if (key := _key(event)) not in told:
                told.add(key)
                transcript.events.append(event)

    def _serve(self, listener: socket.socket, container: str) -> None:
        try:
            connection = self._find(listener, container)
            if connection is not None:
                with connection:
                    self._found.set()
                    self._hear(connection)
        except (OSError, BadMessage) as error:
            self._trouble = str(error)

    def _find(self, listener: socket.socket, container: str) -> socket.socket | None:
        """The connection of the sentry in which that container starts. Whoever else starts one
        meanwhile with this runtime is let down: its trace is not ours to keep."""
        with ExitStack() as others:
            waiting: list[socket.socket] = []
            while not self._over.is_set():
                for ready in select.select([listener, *waiting], [], [], 0.1)[0]:
                    if ready is listener:
                        connection = others.enter_context(listener.accept()[0])
                        connection.settimeout(_START_S)
                        connection.send(connection.recv(_HANDSHAKE))  # we speak what they speak
                        waiting.append(connection)
                        continue
                    message = ready.recv(trace_points.LARGEST)
                    if message and trace_points.read(message).container == container:
                        return ready.dup()
                    waiting.remove(ready)
                    ready.close()
        return None

    def _hear(self, connection: socket.socket) -> None:
        buffer = bytearray(trace_points.LARGEST)
        connection.settimeout(0.5)
        lost_before = 0
        while True:
            try:
                size = connection.recv_into(buffer)
            except TimeoutError:
                if self._over.is_set():
                    return
                continue
            if size == 0:
                return
            if not self._sealed and _MARK not in buffer[:size]:
                continue  # Python and torch are imported: thousands of files
            point = trace_points.read(bytes(buffer[:size]))
            if not self._sealed:
                self._sealed = point.group == _SUPERVISOR and point.path == MARK
                lost_before = point.dropped
            elif point.group != _SUPERVISOR:
                too_many = len(self._points) >= self.limit
                self._overflow += too_many
                if not too_many:
                    self._points.append(point)
            self._lost = point.dropped - lost_before + self._overflow


def _clear_away(note: Path) -> None:
    """Remove what runsc leaves of a container whose start failed, as it does when nobody listens any
    more: its control groups, which are empty. Root's they are, and stay noted until root comes by."""
    identity = note.name.removesuffix(".start")
    places = ("*/docker", "docker", "system.slice")
    names = (identity, f"docker-{identity}.scope")
    groups = [
        group
        for place in places
        for name in names
        for group in Path("/sys/fs/cgroup").glob(f"{place}/{name}")
    ]
    with suppress(OSError):
        for group in groups:
            group.rmdir()
        note.unlink(missing_ok=True)


@contextmanager
def _turn(folder: Path) -> Iterator[socket.socket]:
    """The place where sentries report, for one controller at a time. Raises Unfit."""
    with ExitStack() as held:
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o660)
            held.callback(os.close, lock)
            with suppress(PermissionError):  # somebody else's, who has done this
                os.fchmod(lock, 0o660)
            _wait_for(lock, folder)
            endpoint = folder / "trace.sock"
            endpoint.unlink(missing_ok=True)  # of one that was killed
            listener = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            listener.bind(str(endpoint))
            held.callback(endpoint.unlink, missing_ok=True)
            listener.listen(_WAITING)
        except OSError as error:
            raise Unfit(
                f"safe-load cannot listen for gVisor's trace in {folder}: {error}; root makes the folder "
                f"with install -d -g docker -m 2770 {folder}"
            ) from error
        yield listener


def _wait_for(lock: int, folder: Path) -> None:
    deadline = time.monotonic() + _TURN_S
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Unfit(
                    f"timed out waiting for the lock in {folder}: other controllers hold it"
                ) from None
            time.sleep(0.02)


def _key(event: Event) -> tuple[str, str]:
    arguments = {name: value for name, value in event.args.items() if name != "fd"}
    return event.syscall, json.dumps(arguments, sort_keys=True)


def _was_led(event: Event) -> bool:
    """A connection that the supervisor led into the sinkhole (room/monitor/redirect_ptrace.py)."""
    target = event.args.get("to")
    address = target.get("address", "") if isinstance(target, dict) else ""
    return event.syscall == "connect" and str(address).startswith(ALIASES)


def _is_quiet(event: Event, quiet: tuple[str, ...]) -> bool:
    """Reading the runtime or the model itself, which the supervisor counts and does not tell."""
    flags = str(event.args.get("flags", "O_RDWR"))
    if any(flag in flags for flag in ("O_WRONLY", "O_RDWR", "O_CREAT")):
        return False
    return f"{event.args.get('path')}/".startswith(quiet)


if __name__ == "__main__":
    print(json.dumps(session(profiles.load("strict"))).replace('{"name"', '\n{"name"'))
