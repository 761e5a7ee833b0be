"""A docker backend for many jobs: containers that wait, with everything imported, for the next one.

Zone: controller. The process inside is safe_load.sandbox.room.launch.warm_container. A bind mount cannot be added to
a container that runs, so each waiting one has a folder of its own bound at /model, read-only, into
which a job's files are copied; a job whose files are too large for that gets a container of its own,
as does one that the waiting containers were not made for. What the room says and writes goes through
descriptors, passed over a Unix socket.

Jobs in one container come one after the other. It serves again only if the last job did nothing but
read what everybody reads, and left everything as it was.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from safe_load.sandbox.backends import room_stream
from safe_load.sandbox.backends.docker.backend import STARVED, DockerBackend
from safe_load.sandbox.backends.docker.engine import EngineError
from safe_load.sandbox.backends.docker.given import modules_shown
from safe_load.sandbox.backends.docker.room import (
    MOST_COPIED,
    ElsewhereError,
    Place,
    Room,
    UnreachableError,
)
from safe_load.sandbox.backends.interface import Job, RoomResult
from safe_load.sandbox.backends.native.warm import lifeline, order_file
from safe_load.sandbox.backends.room_stream import Transcript
from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.policy import PolicyError
from safe_load.sandbox.protocol import (
    AGAIN,
    BORED,
    HEAVY,
    LIGHT,
    ContainerOrder,
    Descriptors,
    WarmContainerOrder,
    Warming,
)
from safe_load.sandbox.room import root
from safe_load.sandbox.room.launch.warm_container import LINE

if TYPE_CHECKING:
    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.docker.engine import Engine, Image
    from safe_load.sandbox.backends.request import WarmSpec
    from safe_load.sandbox.containment import Policy


class WarmDockerBackend(DockerBackend):
    """Use it as a context manager. idle_s: a waiting container ends by itself after so long without a
    job; landlock_abi: the newest ABI that it uses. Under gVisor, and where no socket of the host
    reaches into a container (Docker Desktop), each job has a container of its own."""

    def __init__(
        self,
        profile: Profile,
        warm_spec: WarmSpec,
        *,
        image: str,
        version: str,
        runtime: str | None = None,
        idle_s: float = 120.0,
        patience_s: float = 300.0,
        landlock_abi: int = landlock.NEWEST,
    ) -> None:
        super().__init__(
            profile, image=image, version=version, runtime=runtime, patience_s=patience_s
        )
        self._warm_spec = warm_spec
        self._idle_s = idle_s
        self._landlock = landlock_abi
        self._lock = threading.Lock()
        self._rooms: set[Room] = set()
        self._idle: dict[bytes, list[Room]] = {LIGHT: [], HEAVY: []}
        self._has_reached = False
        self._only_cold = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.stop()
        with self._lock:
            rooms = tuple(self._rooms)
        with ExitStack() as stack:  # one that cannot be ended keeps no other
            stack.callback(super().close)
            for room in rooms:
                stack.callback(self._end, room)

    def discard_warm(self) -> None:
        """Which of those that wait it ran in is not known here, nor which of them another thread has
        taken since."""
        with self._lock:
            rooms = [room for idle in self._idle.values() for room in idle]
            for idle in self._idle.values():
                idle.clear()
        for room in rooms:
            with suppress(EngineError):  # it waits for nobody any more, and ends by itself
                self._end(room)

    def stop(self) -> None:
        super().stop()
        with self._lock:
            rooms = tuple(self._rooms)
        for room in rooms:
            room.let_go()

    def run(self, job: Job) -> RoomResult:
        started = time.monotonic()
        stops = self._stops
        try:
            engine, image = self._prepare()
            if self._only_cold or self.kind == "gvisor" or not self._serves(job):
                return super().run(job)
            base = Job("warm", job.entry, {}, modules=self._warm_spec.modules)
            user = self._user(engine, base)
            order = self._order(image, job, self._policy(full=job.trace is not None), user)
            while (result := self._serve(engine, job, order, user, stops, started)) is None:
                continue
            return result
        except ElsewhereError as error:
            if self._stops != stops:
                return self._conclude(Transcript(), started, stops)
            # Where one was reached, another has met with an accident.
            self._only_cold |= isinstance(error, UnreachableError) and not self._has_reached
            return super().run(job)
        except (EngineError, PolicyError, OSError) as error:
            transcript = Transcript()
            transcript.blame("broken", str(error))
            return self._conclude(transcript, started, stops)
        finally:
            if self._prepared is not None:
                self._prepared[0].leave()

    def _conclude(self, transcript: Transcript, started: float, stops: int) -> RoomResult:
        if self._stops != stops:
            transcript.cause = ("interrupted", "the job was stopped")
        return room_stream.conclude(transcript, self.profile, self.tier, started, kind=self.kind)

    def _holds_signals(self) -> bool:
        """As of DockerBackend. The supervisor is not pid 1, which alone is deaf to those from inside."""
        landlocked = min(landlock.abi(), self._landlock) >= landlock.SIGNALS
        return super()._holds_signals() and landlocked

    def _order(
        self, image: Image, job: Job, policy: Policy, user: tuple[int, int]
    ) -> ContainerOrder:
        return replace(super()._order(image, job, policy, user), landlock=self._landlock)

    def _serves(self, job: Job) -> bool:
        size = sum(bind.source.stat().st_size for bind in job.files)
        return size <= MOST_COPIED and self._warm_spec.serves(job)

    def _serve(
        self,
        engine: Engine,
        job: Job,
        order: ContainerOrder,
        user: tuple[int, int],
        stops: int,
        started: float,
    ) -> RoomResult | None:
        """One job in a waiting container; None when that had just ended for want of anything to do.
        Raises OSError, EngineError, ElsewhereError."""
        word = self._warm_spec.order(job)
        room = self._take(word, user)
        transcript = Transcript(trace=job.trace)
        said, again = b"", False
        try:
            if self._stops == stops:
                said = self._have_done(room, word, job, order, transcript)
                if said == BORED and transcript.stream == 0:
                    return None
                self._tell_user(transcript, user)
                if transcript.walls:
                    self._tell_limits(engine, transcript)
                if (transcript.end or transcript.cause) is None and room.starved():
                    transcript.blame("limit", STARVED)
            result = self._conclude(transcript, started, stops)
            if said == AGAIN and _is_harmless(result):
                with suppress(OSError):  # it was closed meanwhile
                    room.clear()
                    again = True
            return result
        finally:
            if again:
                with self._lock:
                    self._idle[word].append(room)
            else:
                self._end(room)

    def _have_done(
        self, room: Room, word: bytes, job: Job, order: ContainerOrder, transcript: Transcript
    ) -> bytes:
        """Have the job done there, and hear it out. What the room said of itself then. Raises OSError,
        ElsewhereError."""
        order = replace(order, files=room.show(job.files))
        with room_stream.opened() as pipes, lifeline() as (theirs, ours):
            far = pipes.far
            with order_file(order) as file:
                named = Descriptors(file, far["events"], far["result"], far["output"], theirs)
                room.order(word, (*named, *job.outputs))
            pipes.close_far_ends()
            if room_stream.listen(
                pipes, transcript, self.profile, self.patience_s, room.is_overdue
            ):
                with suppress(OSError):
                    return room.said()
            ours.close()
        return b""

    def _take(self, order: bytes, user: tuple[int, int]) -> Room:
        """A container that waits, for this thread alone. Raises EngineError, OSError, ElsewhereError."""
        while True:
            with self._lock:
                room = self._idle[order].pop() if self._idle[order] else None
            if room is None:
                return self._make(order, user)
            with suppress(OSError):
                if room.said() == b"":
                    return room
            self._end(room)

    def _make(self, order: bytes, user: tuple[int, int]) -> Room:
        engine, image = self._prepare()
        wanted = self._warm_spec
        entries, preload = (
            (wanted.light, ()) if order == LIGHT else (wanted.entries, wanted.preload)
        )
        base = Job("warm", entries[0], {}, preload, modules=wanted.modules)
        first = WarmContainerOrder(
            base=replace(
                self._order(image, base, self._policy(full=False), user), folders=(root.MODEL,)
            ),
            warming=Warming(entries=entries, idle=self._idle_s),
        )
        with ExitStack() as stack:
            try:
                place = Place()
            except OSError as error:
                raise ElsewhereError from error
            stack.callback(place.remove)
            binds = [(place.model, root.MODEL, False), (place.line, LINE, False)]
            binds += modules_shown(wanted.modules)
            try:
                container = self._create(
                    engine, image, user, "warm", "launch.warm_container", binds
                )
            except EngineError as error:  # it may not see our temporary files
                raise UnreachableError from error
            room = Room(engine, container, place)
            stack.pop_all()
        with self._lock:
            self._rooms.add(room)
        try:
            room.start(first)
        except BaseException:
            self._end(room)
            raise
        self._has_reached = True
        return room

    def _end(self, room: Room) -> None:
        """Returns when everything in it is dead. Raises EngineError."""
        with self._lock:
            self._rooms.discard(room)
            for idle in self._idle.values():
                if room in idle:
                    idle.remove(room)
        room.end()


def _is_harmless(result: RoomResult) -> bool:
    """Whether a job ended well, and did nothing that is told: what it ran in may be used again."""
    told = result.events or result.egress or result.dropped or not result.complete
    return result.status == "ok" and not told
