"""The native backend: a room from the kernel's own parts, for any user, without a daemon.

Zone: controller. Starts `safe_load.sandbox.room.launch` in a fresh interpreter with nothing of the
caller's environment, and reads what comes back from it, bounded.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from safe_load.profiles import Profile
from safe_load.sandbox import runtime
from safe_load.sandbox.backends.interface import Backend, Conversation, Event, Job, RoomResult, Status, Wall
from safe_load.sandbox.policy import CONTROL_DESCRIPTOR, Policy, PolicyError, compile_policy

# The room's interpreter imports nothing but the standard library and these two folders of ours;
# safe_load itself stays an empty shell in there.
_BOOTSTRAP = """
import sys, types
for name, path in (("safe_load", []), ("safe_load.sandbox", [sys.argv[1]])):
    module = types.ModuleType(name)
    module.__path__ = path
    sys.modules[name] = module
from safe_load.sandbox.room.launch import main
sys.exit(main(int(sys.argv[2])))
"""
_IMPORT_ALLOWANCE_S = 300.0
_STREAM_LIMIT = 256 << 20
_TRACED = b'{"kind":"call",'
_OUTPUT_LIMIT = 64 << 10


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
    protocol: str = ""
    address: str = ""
    port: int = 0
    domain: str | None = None
    preview: str = ""
    size: int = 0


@dataclass
class _Heard:
    """What came out of one room so far."""

    walls: dict[str, Wall] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    egress: list[Conversation] = field(default_factory=list)
    end: _Message | None = None
    sealed: float | None = None
    result: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    pending: bytearray = field(default_factory=bytearray)
    stream: int = 0
    cause: tuple[Status, str] | None = None
    trace: Callable[[bytes], None] | None = None

    def blame(self, status: Status, reason: str) -> None:
        """The first cause stands; later accidents do not overwrite it."""
        if self.cause is None:
            self.cause = (status, reason)


class NativeBackend(Backend):
    """Tier A from unprivileged namespaces."""

    name = "native"
    runtime = None
    tier = "A"

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._policies: dict[bool, Policy] = {}
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(self, job: Job) -> RoomResult:
        started = time.monotonic()
        try:
            policy = self._compiled(full=job.trace is not None)
            parts = runtime.find(job.distributions)
        except PolicyError as error:
            return self._result(_Heard(cause=("broken", str(error))), started)
        heard = _Heard(trace=job.trace)
        with _pipes(job.outputs) as pipes:
            spec = _specification(self._profile, policy, parts, job, pipes)
            try:
                process = _start(pipes, job.outputs)
            except OSError as error:
                heard.blame("broken", f"the room's interpreter {sys.executable} does not start: {error}")
                return self._result(heard, started)
            self._running.add(process)
            try:
                self._converse(process, spec, pipes, heard)
            finally:
                self._running.discard(process)
                _end(process)
        return self._result(heard, started)

    def _compiled(self, *, full: bool) -> Policy:
        if full not in self._policies:
            self._policies[full] = compile_policy(self._profile, full=full)
        return self._policies[full]

    def stop(self) -> None:
        for process in tuple(self._running):
            process.kill()  # its children die with it, and with them every process of the room

    def _converse(
        self, process: subprocess.Popen[bytes], spec: dict[str, Any], pipes: _Pipes, heard: _Heard
    ) -> None:
        """Send the specification, then read all pipes until they are closed, bounded in time."""
        limits = self._profile.limits
        deadline = time.monotonic() + limits.timeout + _IMPORT_ALLOWANCE_S
        readers: dict[int, Callable[[bytes], bool]] = {
            pipes.events: lambda data: _hear(heard, data),
            pipes.result: lambda data: _keep(heard, data, limits.result),
            pipes.output: lambda data: _tail(heard, data),
        }
        pipes.close_far_ends()
        assert process.stdin is not None  # noqa: S101 - subprocess.PIPE was asked for
        try:
            process.stdin.write(json.dumps(spec).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            heard.blame("broken", "the room's interpreter ended before it was told anything")
        with selectors.DefaultSelector() as selector:
            for descriptor in readers:
                selector.register(descriptor, selectors.EVENT_READ)
            # The event stream is held by nobody but launcher and supervisor: its end is the end.
            while pipes.events in selector.get_map():
                left = deadline - time.monotonic()
                if left <= 0:
                    heard.blame("broken", "the supervisor did not keep the time limit")
                    return
                for key, _ in selector.select(left):
                    data = os.read(key.fd, 1 << 18)
                    if not data:
                        selector.unregister(key.fd)
                    elif not readers[key.fd](data):
                        return
        if process.wait(30) is not None:  # everything inside is dead; what is left lies in the pipes
            for descriptor, reader in ((pipes.result, readers[pipes.result]), (pipes.output, readers[pipes.output])):
                while (data := _drain(descriptor)) and reader(data):
                    pass

    def _result(self, heard: _Heard, started: float) -> RoomResult:
        end = heard.end
        if end is None:
            said = heard.output.decode("utf-8", "backslashreplace").strip()
            heard.blame("broken", "the supervisor died" + (f": {said.splitlines()[-1]}" if said else ""))
        else:
            status: Status = end.status if end.status in _STATUSES else "broken"  # type: ignore[assignment]
            if status == "crashed":
                _blame_what_it_raised(heard)
            if status != "ok":
                heard.blame(status, end.reason)
        missing = [name for name in self._profile.walls if name not in heard.walls]
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
            tier=self.tier,
            walls=tuple(heard.walls.values()),
            events=tuple(heard.events),
            egress=tuple(heard.egress),
            syscalls=end.syscalls if end else {},
            complete=end.complete if end else False,
            dropped=end.dropped if end else 0,
            output=heard.output.decode("utf-8", "backslashreplace"),
            duration_s=time.monotonic() - started,
            sealed=heard.sealed,
            peak_memory=end.peak_memory if end else 0,
            peak_processes=end.peak_tasks if end else 0,
            cpu_s=end.cpu_s if end else 0.0,
        )


_STATUSES = ("ok", "crashed", "limit", "broken", "interrupted")


_EXHAUSTED = ("memory", "disk")


def _said(heard: _Heard) -> dict[str, Any] | None:
    """What came down the result's pipe. It is the untrusted side's: bounded in size, any JSON."""
    try:
        said = msgspec.json.decode(bytes(heard.result))
    except (msgspec.DecodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _value(heard: _Heard) -> dict[str, Any] | None:
    """What the job returned."""
    said = _said(heard)
    if said is None:
        heard.blame("crashed", "it ended before it had said what it found")
    elif isinstance(said.get("value"), dict):
        value: dict[str, Any] = said["value"]
        return value
    heard.blame("crashed", "it said nothing that can be understood")
    return None


def _blame_what_it_raised(heard: _Heard) -> None:
    """An exception says more than the exit status that it led to."""
    said = _said(heard) or {}
    raised = said.get("raised")
    if not isinstance(raised, str):
        return
    if said.get("exhausted") in _EXHAUSTED:
        heard.blame("limit", f"{said['exhausted']} limit: {raised[:2000]}")
    heard.blame("crashed", raised[:2000])


def _hear(heard: _Heard, data: bytes) -> bool:
    heard.stream += len(data)
    heard.pending += data
    *lines, rest = heard.pending.split(b"\n")
    heard.pending = bytearray(rest)
    try:
        for line in lines:
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


def _take(heard: _Heard, message: _Message) -> None:
    if message.kind == "event" and message.decision in ("allowed", "denied", "redirected"):
        heard.events.append(
            Event(
                t=message.t,
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
                t=message.t,
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
    elif message.kind == "sealed":
        heard.sealed = message.t
    elif message.kind == "end" and heard.end is None:
        heard.end = message


def _keep(heard: _Heard, data: bytes, limit: int) -> bool:
    heard.result += data
    if len(heard.result) > limit:
        heard.blame("limit", f"result limit: the worker said more than {limit >> 20} MiB")
        return False
    return True


def _tail(heard: _Heard, data: bytes) -> bool:
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
class _Pipes:
    """Our ends of the room's pipes (and the far ends, until they are closed)."""

    events: int
    result: int
    output: int
    far: dict[str, int]

    def close_far_ends(self) -> None:
        while self.far:
            os.close(self.far.popitem()[1])


@contextmanager
def _pipes(outputs: tuple[int, ...]) -> Iterator[_Pipes]:
    near: dict[str, int] = {}
    far: dict[str, int] = {}
    for name in ("events", "result", "output"):
        near[name], far[name] = os.pipe()
    pipes = _Pipes(**near, far=far)
    try:
        yield pipes
    finally:
        pipes.close_far_ends()
        for descriptor in near.values():
            os.close(descriptor)


def _start(pipes: _Pipes, outputs: tuple[int, ...]) -> subprocess.Popen[bytes]:
    folder = Path(__file__).resolve().parent.parent
    return subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
        [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _BOOTSTRAP, str(folder), str(pipes.far["events"])],
        stdin=subprocess.PIPE,
        stdout=pipes.far["output"],
        stderr=pipes.far["output"],
        pass_fds=(*pipes.far.values(), *outputs),
        env={},
        cwd="/",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let go of the room: its lifeline is its standard input. Returns when everything is dead."""
    if process.stdin is not None:
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()  # the supervisor dies with the launcher, and everything with the supervisor
        process.wait()


def _specification(
    profile: Profile, policy: Policy, parts: runtime.Runtime, job: Job, pipes: _Pipes
) -> dict[str, Any]:
    """Everything that the room is told; see safe_load.sandbox.room."""
    files = [(str(bind.source), bind.target) for bind in job.files]
    files += [(str(module), f"{runtime.MODULES}/{module.name}") for module in job.modules]
    folders = sorted({str(Path(bind.target).parent) for bind in job.files})
    sources = [source for source, _ in (*files, *parts.folders, *parts.files)]
    return {
        "stage": job.name,
        "separate_user": all(_readable_by_all(source) for source in sources),
        "folders": parts.folders,
        "files": [*parts.files, *files],
        "covered": parts.covered,
        "empty": [runtime.SITE, runtime.MODULES, *folders],
        "links": parts.links,
        "limits": msgspec.to_builtins(profile.limits),
        "mapped": sum(bind.source.stat().st_size for bind in job.files),
        "output_limit": job.output_limit,
        "program": policy.program.hex(),
        "names": policy.names,
        "sinkhole": profile.recording.sinkhole,
        "control": CONTROL_DESCRIPTOR,
        "traced": policy.traced,
        "telling": sorted(policy.telling),
        "errnos": policy.errnos,
        "quiet": [f"{path}/" for path in (*parts.roots, *folders, "/dev/null", "/dev/urandom")],
        "readable": [*parts.roots, *folders, *(target for _, target in parts.files)],
        "sys_path": parts.python_path,
        "package": runtime.PACKAGE,
        "entry": job.entry,
        "argument": job.argument,
        "preload": job.preload,
        "outputs": job.outputs,
        "planted": dict(job.planted),
        "environment": dict(job.environment),
        "result": pipes.far["result"],
        "output": pipes.far["output"],
    }


def _readable_by_all(path: str) -> bool:
    mode = Path(path).stat().st_mode
    return mode & 0o005 == 0o005 if Path(path).is_dir() else bool(mode & 0o004)
