"""One container that waits, seen from the controller: its private folder, the line to it, its jobs' files.

Zone: controller. What is copied here was looked at by the inventory, and is looked at again when it is
opened. Where the files have no place, or the line does not come, the job goes elsewhere.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import struct
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.sandbox import private_folders, protocol
from safe_load.sandbox.backends.docker.backend import Attached
from safe_load.sandbox.backends.native.warm import not_standing
from safe_load.sandbox.protocol import File, WarmContainerOrder
from safe_load.sandbox.room import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.sandbox.backends.docker.engine import Container, Engine
    from safe_load.sandbox.backends.interface import Bind

#: Files of a job, in bytes: above that, copying them takes as long as a container of their own.
MOST_COPIED = 1 << 30
_READY_S = 300.0
_LOOK_S = 0.1
#: Why files cannot be copied that can be bound.
_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENAMETOOLONG)
_CREDENTIALS = struct.Struct("=3i")  # SO_PEERCRED (unix(7)): pid, user, group


class ElsewhereError(Exception):
    """This job needs a container of its own: there is no place for its files."""


class UnreachableError(ElsewhereError):
    """Every job does: no socket of this machine reaches into the engine's containers."""


class Place:
    """A private folder of the host's: what a waiting container shows of it, and where it is called.

    Others' folders, of controllers that were killed, are swept away."""

    def __init__(self) -> None:
        """Raises OSError."""
        temporary = str(Path(tempfile.gettempdir()).resolve())
        private_folders.sweep(temporary)
        self._held: int | None
        self._path, self._held = private_folders.make(temporary)
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
            private_folders.remove(self._path)
        held, self._held = self._held, None
        if held is not None:
            os.close(held)


class Room:
    """A waiting container, the line to it, and the folder that it shows."""

    def __init__(self, engine: Engine, container: Container, place: Place) -> None:
        self._engine = engine
        self._container = container
        self._attached = Attached(engine, container)
        self._place = place
        self._line: socket.socket | None = None
        self._is_let_go = False
        self._ending = threading.Lock()

    def start(self, order: WarmContainerOrder) -> None:
        """Returns when it waits. Raises OSError, EngineError, UnreachableError."""
        stream = self._attached.start(None)
        stream.say(protocol.write_order(order) + b"\n")
        said = b""
        deadline = time.monotonic() + _READY_S
        while (line := self._place.accept(_LOOK_S)) is None:
            frames = stream.hear(0)
            if frames is None or stream.is_overdue or time.monotonic() > deadline:
                break
            said = (said + b"".join(data for _, data in frames))[-4096:]
        if line is None:
            last = said.decode("utf-8", "backslashreplace").strip().splitlines()[-1:]
            raise UnreachableError("".join(last))
        self._line = line
        credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(credentials)[0] != self._engine.pid(self._container):
            raise UnreachableError("the connection did not come from the container")
        line.settimeout(_LOOK_S)
        answer = b""
        while not stream.is_overdue and time.monotonic() < deadline:
            with suppress(TimeoutError):
                answer = line.recv(8192)
                break
        if answer != protocol.READY:
            raise OSError(
                f"the waiting container could not be started: {not_standing(answer).reason}"
            )
        line.settimeout(None)

    def show(self, files: tuple[Bind, ...]) -> tuple[File, ...]:
        """Copy a job's files to where the container shows them, and say which copies they are. Raises OSError, ElsewhereError."""
        shown = []
        try:
            for bind in files:
                target = f"{self._place.model}{bind.target.removeprefix(root.MODEL)}"
                _make_folders(Path(target).parent, Path(self._place.model))
                shown.append(File("", bind.target, copy(bind, target)))
        except OSError as error:
            if error.errno in _NO_PLACE:
                raise ElsewhereError from error
            raise
        return tuple(shown)

    def clear(self) -> None:
        """Show no file any more. Raises OSError."""
        for path in Path(self._place.model).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def order(self, what: bytes, descriptors: Sequence[int]) -> None:
        """Have a job done. What has ended says so by its silence."""
        if self._line is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                protocol.send(self._line, what, descriptors)

    def said(self) -> bytes:
        """What it said since the last time; b"" for nothing. Raises OSError when it is gone."""
        if self._line is None or self._is_let_go:
            raise OSError("the waiting container was stopped")
        with suppress(BlockingIOError):
            if said := self._line.recv(64, socket.MSG_DONTWAIT):
                return said
            raise OSError("the waiting container exited")
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


def _make_folders(path: Path, top: Path) -> None:
    """Folders below `top` that lead to `path`, for everybody to read."""
    for each in (*reversed(path.parents), path):
        if each.is_relative_to(top) and not each.exists():
            each.mkdir()
            each.chmod(0o755)


def copy(bind: Bind, target: str) -> tuple[int, int]:
    """A copy that everybody may read: its device and inode. Raises OSError."""
    source = os.open(bind.source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, f"{bind.source} is not a regular file")
        if bind.identity is not None and (found.st_dev, found.st_ino) != tuple(bind.identity):
            raise OSError(
                errno.ESTALE, f"{bind.source} was replaced by another file after it was inspected"
            )
        if found.st_size > MOST_COPIED:  # it has grown since it was looked at
            raise OSError(errno.EFBIG, f"{bind.source} is too large to copy into the container")
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        try:
            at = 0
            while at < found.st_size:
                sent = os.sendfile(made, source, at, found.st_size - at)
                if sent == 0:
                    raise OSError(errno.EIO, f"{bind.source} was truncated while it was copied")
                at += sent
            os.fchmod(made, 0o444)
            status = os.fstat(made)
            return status.st_dev, status.st_ino
        finally:
            os.close(made)
    finally:
        os.close(source)
