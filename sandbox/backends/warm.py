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
from typing import Any

from safe_load.profiles import Profile
from safe_load.sandbox.backends import hearing
from safe_load.sandbox.backends.hearing import Heard, Pipes
from safe_load.sandbox.backends.interface import Job, RoomResult
from safe_load.sandbox.backends.native import NativeBackend, end, specification, start
from safe_load.sandbox.policy import PolicyError
from safe_load.sandbox.room.warm import MOST_OUTPUTS

_READY_S = 300.0
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

    def __init__(self, profile: Profile, furniture: Furniture, *, idle_s: float = 120.0) -> None:
        super().__init__(profile)
        self._furniture = furniture
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._room: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._separate = False
        self._lifelines: set[int] = set()

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
        try:
            spec = specification(self.profile, self.policy(full=job.trace is not None), job)
        except PolicyError as error:
            heard.blame("broken", str(error))
            return hearing.conclude(heard, self.profile, self.tier, started)
        spec["files"] = [(str(bind.source), bind.target) for bind in job.files]
        with hearing.opened() as pipes, self._lifeline() as lifeline:
            try:
                with self._lock:
                    self._ready()
                    if self._separate and not spec["separate_user"]:
                        separate = False
                    else:
                        separate = True
                        self._order(spec, pipes, lifeline, job.outputs)
            except (OSError, PolicyError) as error:
                heard.blame("broken", str(error))
                return hearing.conclude(heard, self.profile, self.tier, started)
            if not separate:  # files that only root may read: this room's worker is somebody else
                return super().run(job)
            pipes.close_far_ends()
            if not hearing.listen(pipes, heard, self.profile, self.patience_s):
                self._give_up(lifeline, pipes)
        return hearing.conclude(heard, self.profile, self.tier, started)

    def stop(self) -> None:
        super().stop()
        with self._lock:
            self._let_go()

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

    @contextmanager
    def _lifeline(self) -> Iterator[int]:
        """The end of a pipe for the room to hold: when the other end closes, the room dies."""
        theirs, ours = os.pipe()
        try:
            yield theirs
        finally:
            os.close(theirs)
            os.close(ours)

    def _give_up(self, lifeline: int, pipes: Pipes) -> None:  # noqa: ARG002
        """A load that cannot be believed any more takes the whole warm room with it."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._room is not None:
            self._room.kill()  # broker, zygote and every load die one with the other
            end(self._room)
            self._room = None


@contextmanager
def _spec_file(spec: dict[str, Any]) -> Iterator[int]:
    descriptor = os.memfd_create("safe-load-spec")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(json.dumps(spec).encode())
        yield descriptor
    finally:
        os.close(descriptor)


