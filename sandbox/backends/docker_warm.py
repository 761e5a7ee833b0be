"""A docker backend for many jobs: containers that wait, with everything imported, for the next one.

Zone: controller. The process inside is safe_load.sandbox.room.waiting. A bind mount cannot be added to
a container that runs, so each waiting one has a folder of its own bound at /model, read-only, into
which a job's files are copied; a job whose files are too large for that gets a container of its own,
as does one that the waiting containers were not made for. What the room says and writes goes through
descriptors, passed over a Unix socket.

Jobs in one container come one after the other. It serves again only if the last job did nothing but
read what everybody reads, and left everything as it was.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import struct
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from safe_load.sandbox.backends import hearing
from safe_load.sandbox.backends.docker import STARVED, Attached, DockerBackend, modules_shown
from safe_load.sandbox.backends.docker_engine import EngineError
from safe_load.sandbox.backends.hearing import Heard
from safe_load.sandbox.backends.interface import Job, RoomResult
from safe_load.sandbox.backends.warm import lifeline, spec_file
from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.policy import PolicyError
from safe_load.sandbox.room import folder, root
from safe_load.sandbox.room.waiting import AGAIN, BORED, LINE
from safe_load.sandbox.room.warm import HEAVY, LIGHT, READY

if TYPE_CHECKING:
    from safe_load.profiles import Profile
    from safe_load.sandbox.backends.docker_engine import Container, Engine, Image
    from safe_load.sandbox.backends.interface import Bind
    from safe_load.sandbox.backends.warm import Furniture
    from safe_load.sandbox.policy import Policy

#: Files of a job, in bytes: above that, copying them takes as long as a container of their own.
MOST_COPIED = 1 << 30
_READY_S = 300.0
_LOOK_S = 0.1
#: Why files cannot be copied that can be bound.
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG)
_CREDENTIALS = struct.Struct("=3i")  # SO_PEERCRED (unix(7)): pid, user, group


class _Elsewhere(Exception):
    """This job needs a container of its own: there is no place for its files."""


class _Unreachable(_Elsewhere):
    """Every job does: no socket of this machine reaches into the engine's containers."""


class WarmDockerBackend(DockerBackend):
    """Use it as a context manager. idle_s: a waiting container ends by itself after so long without a
    job; landlock_abi: the newest ABI that it uses. Under gVisor, and where no socket of the host
    reaches into a container (Docker Desktop), each job has a container of its own."""

    def __init__(
        self,
        profile: Profile,
        furniture: Furniture,
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
        self._furniture = furniture
        self._idle_s = idle_s
        self._landlock = landlock_abi
        self._lock = threading.Lock()
        self._rooms: set[_Room] = set()
        self._idle: dict[bytes, list[_Room]] = {LIGHT: [], HEAVY: []}
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
            base = Job("warm", job.entry, {}, modules=self._furniture.modules)
            user = self._user(engine, base)
            spec = self._specification(image, job, self._policy(full=job.trace is not None), user)
            while (result := self._serve(engine, job, spec, user, stops, started)) is None:
                continue
            return result
        except _Elsewhere as error:
            if self._stops != stops:
                return self._conclude(Heard(), started, stops)
            # Where one was reached, another has met with an accident.
            self._only_cold |= isinstance(error, _Unreachable) and not self._has_reached
            return super().run(job)
        except (EngineError, PolicyError, OSError) as error:
            heard = Heard()
            heard.blame("broken", str(error))
            return self._conclude(heard, started, stops)
        finally:
            if self._prepared is not None:
                self._prepared[0].leave()

    def _conclude(self, heard: Heard, started: float, stops: int) -> RoomResult:
        if self._stops != stops:
            heard.cause = ("interrupted", "it was stopped")
        return hearing.conclude(heard, self.profile, self.tier, started, kind=self.kind)

    def _holds_signals(self) -> bool:
        """As of DockerBackend. The supervisor is not pid 1, which alone is deaf to those from inside."""
        landlocked = min(landlock.abi(), self._landlock) >= landlock.SIGNALS
        return super()._holds_signals() and landlocked

    def _specification(
        self, image: Image, job: Job, policy: Policy, user: tuple[int, int]
    ) -> dict[str, Any]:
        return super()._specification(image, job, policy, user) | {"landlock": self._landlock}

    def _serves(self, job: Job) -> bool:
        size = sum(bind.source.stat().st_size for bind in job.files)
        return size <= MOST_COPIED and self._furniture.serves(job)

    def _serve(
        self,
        engine: Engine,
        job: Job,
        spec: dict[str, Any],
        user: tuple[int, int],
        stops: int,
        started: float,
    ) -> RoomResult | None:
        """One job in a waiting container; None when that had just ended for want of anything to do.
        Raises OSError, EngineError, _Elsewhere."""
        order = self._furniture.order(job)
        room = self._take(order, user)
        heard = Heard(trace=job.trace)
        said, again = b"", False
        try:
            if self._stops == stops:
                said = self._order(room, order, job, spec, heard)
                if said == BORED and heard.stream == 0:
                    return None
                self._tell_user(heard, user)
                if heard.walls:
                    self._tell_limits(engine, heard)
                if (heard.end or heard.cause) is None and room.starved():
                    heard.blame("limit", STARVED)
            result = self._conclude(heard, started, stops)
            if said == AGAIN and _is_harmless(result):
                with suppress(OSError):  # it was closed meanwhile
                    room.clear()
                    again = True
            return result
        finally:
            if again:
                with self._lock:
                    self._idle[order].append(room)
            else:
                self._end(room)

    def _order(
        self, room: _Room, order: bytes, job: Job, spec: dict[str, Any], heard: Heard
    ) -> bytes:
        """Have the job done there, and hear it out. What the room said of itself then. Raises OSError,
        _Elsewhere."""
        spec["files"] = room.show(job.files)
        with hearing.opened() as pipes, lifeline() as (theirs, ours):
            far = pipes.far
            with spec_file(spec) as file:
                told = (file, far["events"], far["result"], far["output"], theirs)
                room.order(order, (*told, *job.outputs))
            pipes.close_far_ends()
            if hearing.listen(pipes, heard, self.profile, self.patience_s, room.is_overdue):
                with suppress(OSError):
                    return room.said()
            ours.close()
        return b""

    def _take(self, order: bytes, user: tuple[int, int]) -> _Room:
        """A container that waits, for this thread alone. Raises EngineError, OSError, _Elsewhere."""
        while True:
            with self._lock:
                room = self._idle[order].pop() if self._idle[order] else None
            if room is None:
                return self._make(order, user)
            with suppress(OSError):
                if room.said() == b"":
                    return room
            self._end(room)

    def _make(self, order: bytes, user: tuple[int, int]) -> _Room:
        engine, image = self._prepare()
        wanted = self._furniture
        entries, preload = (
            (wanted.light, ()) if order == LIGHT else (wanted.entries, wanted.preload)
        )
        base = Job("warm", entries[0], {}, preload, modules=wanted.modules)
        spec = self._specification(image, base, self._policy(full=False), user)
        spec |= {"entries": entries, "idle": self._idle_s, "folders": [root.MODEL]}
        with ExitStack() as stack:
            try:
                place = _Place()
            except OSError as error:
                raise _Elsewhere from error
            stack.callback(place.remove)
            binds = [(place.model, root.MODEL, False), (place.line, LINE, False)]
            binds += modules_shown(wanted.modules)
            try:
                container = self._create(engine, image, user, "warm", "waiting", binds)
            except EngineError as error:  # it may not see our temporary files
                raise _Unreachable from error
            room = _Room(engine, container, place)
            stack.pop_all()
        with self._lock:
            self._rooms.add(room)
        try:
            room.start(spec)
        except BaseException:
            self._end(room)
            raise
        self._has_reached = True
        return room

    def _end(self, room: _Room) -> None:
        """Returns when everything in it is dead. Raises EngineError."""
        with self._lock:
            self._rooms.discard(room)
            for idle in self._idle.values():
                if room in idle:
                    idle.remove(room)
        room.end()


class _Place:
    """A private folder of the host's: what a waiting container shows of it, and where it is called.

    Others' folders, of controllers that were killed, are swept away."""

    def __init__(self) -> None:
        """Raises OSError."""
        temporary = str(Path(tempfile.gettempdir()).resolve())
        folder.sweep(temporary)
        self._held: int | None
        self._path, self._held = folder.make(temporary)
        self.model = f"{self._path}/model"
        self.line = f"{self._path}/line"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            Path(self.model).mkdir()
            Path(self.model).chmod(0o755)  # bound into the container, whose user reads it
            # A socket's address takes 107 bytes, which TMPDIR alone may fill (unix(7)).
            self._listener.bind(f"/proc/self/fd/{self._held}/line")
            Path(self.line).chmod(0o666)  # nobody else gets into the folder that it is in
            self._listener.listen(1)
        except OSError:
            self.remove()
            raise

    def accept(self, seconds: float) -> socket.socket | None:
        """Who called within that time. Nobody is let in after that."""
        self._listener.settimeout(seconds)
        try:
            line, _ = self._listener.accept()
        except TimeoutError:
            return None
        self._listener.close()
        return line

    def remove(self) -> None:
        """May be called again."""
        self._listener.close()
        with suppress(OSError):
            folder.remove(self._path)
        held, self._held = self._held, None
        if held is not None:
            os.close(held)


class _Room:
    """A waiting container, the line to it, and the folder that it shows."""

    def __init__(self, engine: Engine, container: Container, place: _Place) -> None:
        self._engine = engine
        self._container = container
        self._attached = Attached(engine, container)
        self._place = place
        self._line: socket.socket | None = None
        self._is_let_go = False
        self._ending = threading.Lock()

    def start(self, spec: dict[str, Any]) -> None:
        """Returns when it waits. Raises OSError, EngineError, _Unreachable."""
        stream = self._attached.start(None)
        stream.say(json.dumps(spec).encode() + b"\n")
        said = b""
        deadline = time.monotonic() + _READY_S
        while (line := self._place.accept(_LOOK_S)) is None:
            frames = stream.hear(0)
            if frames is None or stream.is_overdue or time.monotonic() > deadline:
                break
            said = (said + b"".join(data for _, data in frames))[-4096:]
        if line is None:
            last = said.decode("utf-8", "backslashreplace").strip().splitlines()[-1:]
            raise _Unreachable("".join(last))
        self._line = line
        credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(credentials)[0] != self._engine.pid(self._container):
            raise _Unreachable("somebody else than the container called")
        line.settimeout(_LOOK_S)
        answer = b""
        while not stream.is_overdue and time.monotonic() < deadline:
            with suppress(TimeoutError):
                answer = line.recv(8192)
                break
        if answer != READY:
            reason = json.loads(answer)["error"] if answer else "its processes died"
            raise OSError(f"the waiting container does not stand: {reason}")
        line.settimeout(None)

    def show(self, files: tuple[Bind, ...]) -> list[tuple[str, tuple[int, int]]]:
        """Copy a job's files to where the container shows them: where they are inside, and the
        device and inode of each copy. Raises OSError, _Elsewhere."""
        shown = []
        try:
            for bind in files:
                target = f"{self._place.model}{bind.target.removeprefix(root.MODEL)}"
                _make_folders(Path(target).parent, Path(self._place.model))
                shown.append((bind.target, _copy(bind, target)))
        except OSError as error:
            if error.errno in _NO_PLACE:
                raise _Elsewhere from error
            raise
        return shown

    def clear(self) -> None:
        """Show no file any more. Raises OSError."""
        for path in Path(self._place.model).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def order(self, what: bytes, descriptors: tuple[int, ...]) -> None:
        """Have a job done. What has ended says so by its silence."""
        if self._line is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(self._line, [what], descriptors)

    def said(self) -> bytes:
        """What it said since the last time; b"" for nothing. Raises OSError when it is gone."""
        if self._line is None or self._is_let_go:
            raise OSError("the waiting container serves nobody")
        with suppress(BlockingIOError):
            if said := self._line.recv(64, socket.MSG_DONTWAIT):
                return said
            raise OSError("the waiting container is gone")
        return b""

    def starved(self) -> bool:
        """As of Engine. Raises EngineError."""
        return self._engine.starved(self._container)

    def let_go(self) -> None:
        """It ends when it sees that, and serves nobody any more."""
        self._is_let_go = True
        self._attached.let_go()

    def is_overdue(self) -> bool:
        """Whether it was let go of, and should have ended by now."""
        return self._attached.is_overdue

    def end(self) -> None:
        """End it; returns when everything inside is dead, and nothing of it is left. Raises EngineError."""
        with self._ending:
            try:
                self._attached.end()
            finally:
                if self._line is not None:
                    self._line.close()
                self._place.remove()


def _is_harmless(result: RoomResult) -> bool:
    """Whether a job ended well, and did nothing that is told: what it ran in may be used again."""
    told = result.events or result.egress or result.dropped or not result.complete
    return result.status == "ok" and not told


def _make_folders(path: Path, top: Path) -> None:
    """Folders below `top` that lead to `path`, for everybody to read."""
    for each in (*reversed(path.parents), path):
        if each.is_relative_to(top) and not each.exists():
            each.mkdir()
            each.chmod(0o755)


def _copy(bind: Bind, target: str) -> tuple[int, int]:
    """A copy that everybody may read: its device and inode. Raises OSError."""
    source = os.open(bind.source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, f"{bind.source} is no regular file")
        if bind.identity is not None and (found.st_dev, found.st_ino) != tuple(bind.identity):
            raise OSError(errno.ESTALE, f"{bind.source} is not the file that it was a moment ago")
        if found.st_size > MOST_COPIED:  # it has grown since it was looked at
            raise OSError(errno.EFBIG, f"{bind.source} is too large to be copied")
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        try:
            at = 0
            while at < found.st_size:
                sent = os.sendfile(copy, source, at, found.st_size - at)
                if sent == 0:
                    raise OSError(errno.EIO, f"{bind.source} became shorter while it was read")
                at += sent
            os.fchmod(copy, 0o444)
            made = os.fstat(copy)
            return made.st_dev, made.st_ino
        finally:
            os.close(copy)
    finally:
        os.close(source)
