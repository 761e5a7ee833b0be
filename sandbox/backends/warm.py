"""A native backend for many jobs: heavy imports happen once, and each job is a fork.

Zone: controller. The warm room's processes are safe_load.sandbox.room.warm. A job that the warm room
was not made for (other imports, more files than descriptors fit) gets a cold room.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

from safe_load.sandbox.backends import hearing
from safe_load.sandbox.backends.hearing import Heard, Pipes
from safe_load.sandbox.backends.interface import Job, RoomResult
from safe_load.sandbox.backends.native import NativeBackend, end, specification, start
from safe_load.sandbox.policy import PolicyError
from safe_load.sandbox.room.warm import HEAVY, IDLE, LIGHT, MOST_OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from safe_load.profiles import Profile

_READY_S = 300.0
_END_S = 2.0
_MODEL = "/model"


@dataclass(frozen=True)
class Furniture:
    """What a warm room has ready: jobs' entries, the modules they want, the packages they need.

    light: entries of jobs that want no module imported ahead. They are forked from a process that
    has imported nothing else, which is quicker.
    """

    entries: tuple[str, ...]
    preload: tuple[str, ...]
    distributions: tuple[str, ...]
    modules: tuple[Path, ...] = ()
    light: tuple[str, ...] = ()

    def order(self, job: Job) -> bytes:
        """Which of the room's processes shall do this job."""
        return LIGHT if job.entry in self.light else HEAVY

    def serves(self, job: Job) -> bool:
        """Whether the room can do this job."""
        return (
            job.entry in (*self.entries, *self.light)
            and set(job.preload) <= set(() if self.order(job) == LIGHT else self.preload)
            and set(job.distributions) <= set(self.distributions)
            and len(job.outputs) <= MOST_OUTPUTS
            and all(bind.target.startswith(f"{_MODEL}/") for bind in job.files)
            and set(job.modules) <= set(self.modules)
        )


class _Refused(OSError):
    """This machine lets nobody make namespaces."""


class WarmBackend(NativeBackend):
    """Use it as a context manager. idle_s: a warm room ends by itself after so long without a job;
    the next job makes a new one.

    A room of tier B is never warm: each job has a cold one. Files that only root may read are shown to a worker that is root outside (without any right):
    jobs with such files have a warm room of their own.
    """

    def __init__(
        self,
        profile: Profile,
        furniture: Furniture,
        *,
        idle_s: float = 120.0,
        patience_s: float = 300.0,
    ) -> None:
        super().__init__(profile, patience_s=patience_s)
        self._furniture = furniture
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._rooms: dict[bool, _Room] = {}  # whether the worker has a user of its own -> room
        self._stops = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm rooms and everything in them."""
        with self._lock:
            while self._rooms:
                self._rooms.popitem()[1].end()

    def warm_up(self) -> None:
        """Make the warm room now and not with the first job. Raises OSError when it cannot be."""
        with self._lock:
            if self.tier == "A":
                self._room(separate=True)

    def run(self, job: Job) -> RoomResult:
        if self.tier == "B" or not self._furniture.serves(job):
            return super().run(job)
        started = time.monotonic()
        stops = self._stops
        try:
            spec = specification(self.profile, self.policy("A", full=job.trace is not None), job)
            spec["files"] = [(str(bind.source), bind.target, bind.identity) for bind in job.files]
            while (heard := self._serve(spec, job, stops)) is None:
                continue
        except (OSError, PolicyError) as error:
            if isinstance(error, _Refused) and self.accept_cell_alone():
                return super().run(job)
            heard = Heard()
            if self._stops == stops:
                heard.blame("broken", str(error))
        if self._stops != stops:
            heard.blame("interrupted", "it was stopped")
            self.close()  # returns when everything inside is dead
        return hearing.conclude(heard, self.profile, "A", started)

    def stop(self) -> None:
        self._stops += 1
        super().stop()
        self.close()

    def _serve(self, spec: dict[str, Any], job: Job, stops: int) -> Heard | None:
        """What was heard of one job in a warm room; None when the room had just ended for want of
        anything to do, and never began. Raises OSError when there is no room."""
        heard = Heard(trace=job.trace)
        with hearing.opened() as pipes, lifeline() as (theirs, ours):
            with self._lock:
                if self._stops != stops:  # while others had the lock, perhaps to make a room
                    return heard
                room = self._room(separate=spec["separate_user"])
                if not room.order(self._furniture.order(job), spec, pipes, theirs, job.outputs):
                    return None
            pipes.close_far_ends()
            if not hearing.listen(pipes, heard, self.profile, self.patience_s):
                ours.close()
                if not hearing.ended(pipes, _END_S):
                    with self._lock:
                        room.end()  # a load that does not end takes the whole warm room with it
            return None if heard.stream == 0 and room.ended_idle() else heard

    def _room(self, *, separate: bool) -> _Room:
        """A warm room that is ready. Raises OSError with the reason when there can be none."""
        separate = separate or os.geteuid() != 0  # anybody else has one user only
        room = self._rooms.get(separate)
        if room is not None and room.lives:
            return room
        if room is not None:
            del self._rooms[separate]
            room.end()
        base = specification(self.profile, self.policy("A", full=False), self._base_job())
        base["separate_user"] &= separate
        base |= {
            "idle": self._idle_s,
            "entries": self._furniture.entries,
            "light": self._furniture.light,
        }
        process, line = _start()
        self._running.add(process)  # so that it can be stopped while it is warming up
        try:
            self._rooms[separate] = room = _Room(process, line, base)
        finally:
            self._running.discard(process)
            self._stopped.discard(process)
        return room

    def _base_job(self) -> Job:
        wanted = self._furniture
        return Job(
            "warm",
            wanted.entries[0],
            {},
            wanted.preload,
            wanted.distributions,
            modules=wanted.modules,
        )


class _Room:
    """The processes of one warm room, and the line to them."""

    def __init__(
        self, process: subprocess.Popen[bytes], line: socket.socket, base: dict[str, Any]
    ) -> None:
        """Returns when the room is ready. Raises OSError with the reason when it does not stand."""
        self._process = process
        self._line = line
        try:
            self._line.settimeout(_READY_S)
            with spec_file(base) as file:
                socket.send_fds(self._line, [b"base"], [file])
            answer = self._line.recv(8192)
            said = json.loads(answer) if answer else {"error": "its processes died"}
            if "error" in said:
                kind = _Refused if said.get("refused") is True else OSError
                raise kind(f"the warm room does not stand: {said['error']}")
        except BaseException:
            self.end()
            raise

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def ended_idle(self) -> bool:
        """Whether it has ended by itself, because nothing was to do. Waits for a room that ends."""
        try:
            return self._process.wait(_END_S) == IDLE
        except subprocess.TimeoutExpired:
            return False

    def order(
        self,
        zygote: bytes,
        spec: dict[str, Any],
        pipes: Pipes,
        lifeline: int,
        outputs: tuple[int, ...],
    ) -> bool:
        """Have a job done. False when the room has just ended because nothing was to do."""
        far = pipes.far
        with spec_file(spec) as file:
            descriptors = [file, far["events"], far["result"], far["output"], lifeline, *outputs]
            try:
                socket.send_fds(self._line, [zygote], descriptors)
            except OSError:
                if self.ended_idle():
                    return False
                raise
        return True

    def end(self) -> None:
        """End it; returns when everything inside is dead. The broker ends when its line does, after
        zygotes and loads."""
        self._line.close()
        end(self._process)


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        return start("warm", theirs.fileno(), (theirs.fileno(),), subprocess.DEVNULL), ours


@contextmanager
def lifeline() -> Iterator[tuple[int, IO[bytes]]]:
    """The end of a pipe for a load to hold, and ours: when ours closes, the load dies."""
    theirs, ours = os.pipe()
    try:
        with open(ours, "wb", buffering=0) as handle:
            yield theirs, handle
    finally:
        os.close(theirs)


@contextmanager
def spec_file(spec: dict[str, Any]) -> Iterator[int]:
    descriptor = os.memfd_create("safe-load-spec")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(json.dumps(spec).encode())
        yield descriptor
    finally:
        os.close(descriptor)
