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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from safe_load.profiles import Profile
from safe_load.sandbox.backends import hearing
from safe_load.sandbox.backends.hearing import Heard, Pipes
from safe_load.sandbox.backends.interface import Job, RoomResult
from safe_load.sandbox.backends.native import NativeBackend, end, specification, start
from safe_load.sandbox.policy import PolicyError
from safe_load.sandbox.room.warm import MOST_OUTPUTS

_READY_S = 300.0
_END_S = 2.0
_MODEL = "/model"


@dataclass(frozen=True)
class Furniture:
    """What a warm room has ready: jobs' entries, the modules they want, the packages they need."""

    entries: tuple[str, ...]
    preload: tuple[str, ...]
    distributions: tuple[str, ...]
    modules: tuple[Path, ...] = ()

    def serves(self, job: Job) -> bool:
        """Whether the room can do this job."""
        return (
            job.entry in self.entries
            and set(job.preload) <= set(self.preload)
            and set(job.distributions) <= set(self.distributions)
            and len(job.outputs) <= MOST_OUTPUTS
            and all(bind.target.startswith(f"{_MODEL}/") for bind in job.files)
            and set(job.modules) <= set(self.modules)
        )


class WarmBackend(NativeBackend):
    """Use it as a context manager. idle_s: the warm room ends by itself after so long without a job;
    the next job makes a new one."""

    def __init__(
        self, profile: Profile, furniture: Furniture, *, idle_s: float = 120.0, patience_s: float = 300.0
    ) -> None:
        super().__init__(profile, patience_s=patience_s)
        self._furniture = furniture
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._room: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._separate = False
        self._stops = 0

    def __enter__(self) -> WarmBackend:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm room and everything in it."""
        with self._lock:
            self._let_go()

    def warm_up(self) -> None:
        """Make the warm room now and not with the first job. Raises OSError when it cannot be."""
        with self._lock:
            self._ready()

    def run(self, job: Job) -> RoomResult:
        if not self._furniture.serves(job):
            return super().run(job)
        started = time.monotonic()
        heard = Heard(trace=job.trace)
        stops = self._stops
        try:
            spec = specification(self.profile, self.policy(full=job.trace is not None), job)
        except (OSError, PolicyError) as error:
            heard.blame("broken", str(error))
            return hearing.conclude(heard, self.profile, self.tier, started)
        spec["files"] = [(str(bind.source), bind.target) for bind in job.files]
        with hearing.opened() as pipes, _lifeline() as (theirs, ours):
            try:
                with self._lock:
                    self._ready()
                    if self._separate and not spec["separate_user"]:
                        separate = False
                    else:
                        separate = True
                        self._order(spec, pipes, theirs, job.outputs)
            except (OSError, PolicyError) as error:
                heard.blame("broken", str(error))
                return hearing.conclude(heard, self.profile, self.tier, started)
            if not separate:  # files that only root may read: this room's worker is somebody else
                return super().run(job)
            pipes.close_far_ends()
            if not hearing.listen(pipes, heard, self.profile, self.patience_s):
                ours.close()
                if not hearing.ended(pipes, _END_S):
                    self.close()  # a load that does not end takes the whole warm room with it
            if self._stops != stops:
                heard.blame("interrupted", "it was stopped")
                self.close()  # returns when everything inside is dead
        return hearing.conclude(heard, self.profile, self.tier, started)

    def stop(self) -> None:
        self._stops += 1
        super().stop()
        self.close()

    def _ready(self) -> None:
        """Have a warm room. Raises OSError with the reason when there can be none."""
        if self._room is not None and self._room.poll() is None:
            return
        self._let_go()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        base = specification(self.profile, self.policy(full=False), self._base_job())
        base |= {"idle": self._idle_s, "entries": self._furniture.entries}
        self._separate = base["separate_user"] and os.geteuid() == 0
        with theirs:
            self._room = start("warm", theirs.fileno(), (theirs.fileno(),), subprocess.DEVNULL)
        self._line = ours
        ours.settimeout(_READY_S)
        with _spec_file(base) as file:
            socket.send_fds(ours, [b"base"], [file])
        answer = ours.recv(8192)
        said = json.loads(answer) if answer else {"error": "its processes died"}
        if "error" in said:
            self._let_go()
            raise OSError(f"the warm room does not stand: {said['error']}")

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

    def _order(
        self, spec: dict[str, Any], pipes: Pipes, lifeline: int, outputs: tuple[int, ...]
    ) -> None:
        assert self._line is not None  # noqa: S101 - _ready made it
        far = pipes.far
        with _spec_file(spec) as file:
            descriptors = [file, far["events"], far["result"], far["output"], lifeline, *outputs]
            socket.send_fds(self._line, [b"job"], descriptors)

    def _let_go(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._room is not None:
            end(self._room)  # the broker ends when its line does, after zygote and loads are dead
            self._room = None


@contextmanager
def _lifeline() -> Iterator[tuple[int, IO[bytes]]]:
    """The end of a pipe for a load to hold, and ours: when ours closes, the load dies."""
    theirs, ours = os.pipe()
    try:
        with open(ours, "wb", buffering=0) as handle:
            yield theirs, handle
    finally:
        os.close(theirs)


@contextmanager
def _spec_file(spec: dict[str, Any]) -> Iterator[int]:
    descriptor = os.memfd_create("safe-load-spec")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(json.dumps(spec).encode())
        yield descriptor
    finally:
        os.close(descriptor)


