"""A native backend for many jobs: heavy imports happen once, and each job is a fork.

Zone: controller. The warm room's processes are safe_load.sandbox.room.launch.warm. A job that the warm room
was not made for (other imports, more files than descriptors fit) gets a cold room.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Self

from safe_load.sandbox import protocol
from safe_load.sandbox.backends import orders, room_stream
from safe_load.sandbox.backends.interface import Job, RoomResult
from safe_load.sandbox.backends.native.backend import NativeBackend
from safe_load.sandbox.backends.room_stream import Pipes, Transcript
from safe_load.sandbox.interpreter import end, start
from safe_load.sandbox.policy import PolicyError
from safe_load.sandbox.protocol import HostOrder, WarmHostOrder, Warming

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.request import WarmSpec

_READY_S = 300.0
_END_S = 2.0


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
        warm_spec: WarmSpec,
        *,
        idle_s: float = 120.0,
        patience_s: float = 300.0,
    ) -> None:
        super().__init__(profile, patience_s=patience_s)
        self._warm_spec = warm_spec
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._rooms: dict[bool, _Room] = {}  # whether the worker has a user of its own -> room
        self._stops = 0
        #: Held while a warm room of that kind is made ahead of its jobs.
        self._making = {separate: threading.Lock() for separate in (False, True)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm rooms and everything in them."""
        with self._lock:
            while self._rooms:
                self._rooms.popitem()[1].end()

    def warm_up(self, files: Sequence[Path] = ()) -> None:
        """Make the warm room of jobs with these files now. Raises OSError when it cannot be.

        Jobs in other rooms go on meanwhile.
        """
        if self.tier != "A":
            return
        stops = self._stops
        separate = os.geteuid() != 0 or (
            self._order(self._base_job(), full=False, warm=False).separate_user
            and all(orders.readable_by_all(str(file)) for file in files)
        )
        with self._making[separate]:
            with self._lock:
                room = self._rooms.get(separate)
                if room is not None and room.lives:
                    return
            made = self._make(separate=separate)
            with self._lock:
                held = self._rooms.get(separate)
                if self._stops == stops and (held is None or not held.lives):
                    if held is not None:
                        held.end()
                    self._rooms[separate] = made
                    return
            made.end()

    def run(self, job: Job) -> RoomResult:
        if self.tier == "B" or not self._warm_spec.serves(job):
            return super().run(job)
        started = time.monotonic()
        stops = self._stops
        try:
            order = self._order(job, full=job.trace is not None, warm=True)
            while (transcript := self._serve(order, job, stops)) is None:
                continue
        except (OSError, PolicyError) as error:
            if isinstance(error, _Refused) and self.accept_cell_alone():
                return super().run(job)
            transcript = Transcript()
            if self._stops == stops:
                transcript.blame("broken", str(error))
        if self._stops != stops:
            transcript.blame("interrupted", "the job was stopped")
            self.close()  # returns when everything inside is dead
        return room_stream.conclude(transcript, self.profile, "A", started)

    def stop(self) -> None:
        self._stops += 1
        super().stop()
        self.close()

    def _order(self, job: Job, *, full: bool, warm: bool) -> HostOrder:
        """Raises OSError, PolicyError."""
        policy = self.policy("A", full=full)
        return orders.of_host(
            self.profile, policy, self.containment("A"), job, kind="native", warm=warm
        )

    def _serve(self, order: HostOrder, job: Job, stops: int) -> Transcript | None:
        """What was heard of one job in a warm room; None when the room had just ended for want of
        anything to do, and never began. Raises OSError when there is no room."""
        transcript = Transcript(trace=job.trace)
        with room_stream.opened() as pipes, lifeline() as (theirs, ours):
            with self._lock:
                if self._stops != stops:  # while others had the lock, perhaps to make a room
                    return transcript
                room = self._room(separate=order.separate_user)
                if not room.order(self._warm_spec.order(job), order, pipes, theirs, job.outputs):
                    return None
            pipes.close_far_ends()
            if not room_stream.listen(pipes, transcript, self.profile, self.patience_s):
                ours.close()
                if not room_stream.ended(pipes, _END_S):
                    with self._lock:
                        room.end()  # a load that does not end takes the whole warm room with it
            return None if transcript.stream == 0 and room.ended_idle() else transcript

    def _room(self, *, separate: bool) -> _Room:
        """A warm room that is ready. Raises OSError with the reason when there can be none."""
        separate = separate or os.geteuid() != 0  # anybody else has one user only
        room = self._rooms.get(separate)
        if room is not None and room.lives:
            return room
        if room is not None:
            del self._rooms[separate]
            room.end()
        self._rooms[separate] = room = self._make(separate=separate)
        return room

    def _make(self, *, separate: bool) -> _Room:
        """A new warm room. Raises OSError with the reason when there can be none."""
        base = self._order(self._base_job(), full=False, warm=False)
        first = WarmHostOrder(
            base=replace(base, separate_user=base.separate_user and separate),
            warming=Warming(
                entries=self._warm_spec.entries, light=self._warm_spec.light, idle=self._idle_s
            ),
        )
        process, line = _start()
        self._running.add(process)  # so that it can be stopped while it is warming up
        try:
            return _Room(process, line, first)
        finally:
            self._running.discard(process)
            self._stopped.discard(process)

    def _base_job(self) -> Job:
        wanted = self._warm_spec
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
        self, process: subprocess.Popen[bytes], line: socket.socket, first: WarmHostOrder
    ) -> None:
        """Returns when the room is ready. Raises OSError with the reason when it does not stand."""
        self._process = process
        self._line = line
        try:
            self._line.settimeout(_READY_S)
            with order_file(first) as file:
                protocol.send(self._line, protocol.BASE, [file])
            answer, _ = protocol.receive(self._line)
            if answer != protocol.READY:
                said = not_standing(answer)
                kind = _Refused if said.refused else OSError
                raise kind(f"the warm room could not be started: {said.reason}")
        except BaseException:
            self.end()
            raise

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def ended_idle(self) -> bool:
        """Whether it has ended by itself, because nothing was to do. Waits for a room that ends."""
        try:
            return self._process.wait(_END_S) == protocol.IDLE
        except subprocess.TimeoutExpired:
            return False

    def order(
        self,
        zygote: bytes,
        order: HostOrder,
        pipes: Pipes,
        lifeline: int,
        outputs: tuple[int, ...],
    ) -> bool:
        """Have a job done. False when the room has just ended because nothing was to do."""
        far = pipes.far
        with order_file(order) as file:
            named = protocol.Descriptors(
                file, far["events"], far["result"], far["output"], lifeline
            )
            try:
                protocol.send(self._line, zygote, (*named, *outputs))
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
        return start("launch.warm", theirs.fileno(), (theirs.fileno(),), subprocess.DEVNULL), ours


@contextmanager
def lifeline() -> Iterator[tuple[int, IO[bytes]]]:
    """The end of a pipe for a load to hold, and ours: when ours closes, the load dies."""
    theirs, ours = os.pipe()
    try:
        with open(ours, "wb", buffering=0) as handle:
            yield theirs, handle
    finally:
        os.close(theirs)


def not_standing(answer: bytes) -> protocol.NotStanding:
    """What a warm room said instead of "ready"; b"" when it said nothing and is gone."""
    try:
        said = protocol.read_state(answer) if answer else None
    except protocol.ProtocolError as error:
        return protocol.NotStanding(f"the answer of the warm room is malformed: {error}")
    if isinstance(said, protocol.NotStanding):
        return said
    return protocol.NotStanding("the processes of the warm room exited")


@contextmanager
def order_file(order: object) -> Iterator[int]:
    """A file in memory that holds the order. Raises OSError."""
    descriptor = os.memfd_create("safe-load-order")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(protocol.write_order(order))
        yield descriptor
    finally:
        os.close(descriptor)
