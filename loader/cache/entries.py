"""The cache: cleared folders, kept under the user's cache folder, so that no model is opened twice.

Zone: controller. Each entry is a cleared folder, named by what was cleared and by which policy
(`cache_key`), and a seal that says what the folder was when it was made. The seal is written last:
a folder without one is the rubbish of a process that died. It lies outside of the folder: nothing
that changes the folder brings its own. An entry is used only as long as it is what its seal says.

    cleared/KEY/         a cleared folder, read-only
    cleared/.KEY.*/      one that is being made or removed
    seals/KEY.json       what it was when it was made; its time is when it was last used
    locks/KEY            held by the process that makes or removes the entry
    sources/*.json       what sources were when they were hashed (`source_index`)
    runs/*.json          what earlier runs of the command line gave (`runs`)

Whoever uses an entry holds a shared lock on its folder, and it is not removed before that process
ends or has used many others since.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from safe_load.cache.locks import HELD, is_same, locked, require_own
from safe_load.cache.source_index import SourceIndex
from safe_load.core import typed
from safe_load.core.atomic_files import (
    hidden_beside,
    remove_tree,
    replace_file,
    sweep_files,
    sweep_folders,
)
from safe_load.core.errors import LimitHit, NotLoadable, UsageError
from safe_load.core.escape import visible
from safe_load.core.hashing import hash_files, open_regular
from safe_load.export import manifest
from safe_load.export.verify import verify, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from safe_load.core.report import Report

SCHEMA = "safe-load/seal/1"
_MAX_SEAL = 64 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_KEY = re.compile("[0-9a-f]{64}")
_EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB
_POLL = 0.02  # seconds
_SOURCES_KEPT = 1000


class Sealed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One file or folder of an entry, as lstat has it."""

    path: str
    inode: int
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Seal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """source: what was cleared first, of those with these bytes; manifest: its BLAKE3; bytes: of
    all files; created: UTC, ISO 8601."""

    schema: str = SCHEMA
    key: str
    source: str
    profile: str
    verdict: str
    created: str
    bytes: int
    manifest: str
    files: list[Sealed]


class Entry(NamedTuple):
    """One entry. used: when it was last used, seconds since 1970; busy: somebody uses it now."""

    path: Path
    seal: Seal
    used: float
    busy: bool


class Cache:
    """The entries below one cache folder. Raises UsageError when that is not the user's own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._cleared, self._seals, self._locks, sources = (
            home / name for name in ("cleared", "seals", "locks", "sources")
        )
        for folder in (home, self._cleared, self._seals, self._locks, sources):
            require_own(folder)
        self.sources = SourceIndex(sources)

    def place(self, key: str) -> Path:
        """Where the entry is, or would be."""
        return self._cleared / key

    def use(self, key: str, *, verify: bool = False) -> Seal | None:
        """The seal of an entry that is there and is what it was; it stays while this process lives.
        None when there is none. verify: also hash its files. Raises NotLoadable when it was changed.
        """
        try:
            descriptor = os.open(self.place(key), _FOLDER)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            raise self._changed(key, ["the path is not a folder"]) from error
        held = False
        try:
            # Waits while it is being removed, or looked at by `entries`.
            locked(descriptor, fcntl.LOCK_SH)
            try:
                seal = self._valid(key, verify)
            except (OSError, NotLoadable):
                if is_same(self.place(key), descriptor):
                    raise
                seal = None  # what was looked at is being made anew
            if seal is None or not is_same(self.place(key), descriptor):
                return None
            with suppress(OSError):
                os.utime(self._seal_of(key))
            HELD.hold((str(self.home), key), descriptor)
            held = True
            return seal
        finally:
            if not held:
                os.close(descriptor)

    @contextmanager
    def making(self, key: str, wait: Callable[[], None], timeout: float) -> Iterator[None]:
        """While the block runs, no other process makes or removes this entry. wait: called again and
        again while another one does. Raises LimitHit when that takes longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (descriptor := self._lock(key)) is None:
            if time.monotonic() > deadline:
                raise LimitHit(
                    f"another process has been clearing this model for more than {timeout:g} s"
                )
            wait()
            time.sleep(_POLL)
        try:
            yield
        finally:
            os.close(descriptor)

    def seal(self, key: str, report: Report) -> None:
        """Make an entry of the folder that a load has just put in its place."""
        path = self.place(key)
        for name, status in walk(path):
            (path / name).chmod(0o555 if stat.S_ISDIR(status.st_mode) else 0o444)
        path.chmod(0o555)
        files = report.export.files if report.export else []
        digests = {file.path: file.digests.blake3 for file in files}
        self._write(
            Seal(
                key=key,
                source=report.source.path,
                profile=report.sandbox.profile,
                verdict=report.verdict,
                created=report.started,
                bytes=sum(file.size for file in files),
                manifest=digests[manifest.NAME],
                files=self._state(key),
            )
        )

    def remove(self, key: str) -> None:
        """Remove what is in the entry's place, whatever it is. To be called while `making` it."""
        self._seal_of(key).unlink(missing_ok=True)
        path = self.place(key)
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            hidden = hidden_beside(path)
            path.rename(hidden)  # in one step: nobody finds half an entry
            remove_tree(hidden)

    def entries(self) -> list[Entry]:
        """Every entry, the one used last first."""
        found = []
        for key in self._keys(self._seals):
            seal = self._seal(key)
            with suppress(OSError):
                if seal is not None and os.path.lexists(self.place(key)):
                    used = self._seal_of(key).stat().st_mtime
                    found.append(Entry(self.place(key), seal, used, self._busy(key)))
        return sorted(found, key=lambda entry: -entry.used)

    def problems(self, key: str) -> list[str]:
        """What is wrong with an entry, after hashing all of it; one sentence each."""
        seal = self._seal(key)
        if seal is None:
            return ["the cleared copy has no seal"]
        return self._problems(seal)

    def try_remove(self, key: str, *, whole: bool = True) -> bool:
        """Remove an entry unless somebody makes or uses it. whole: also one that nothing lacks.
        Returns whether it is gone."""
        with ExitStack() as held:
            lock = self._lock(key)
            if lock is None:
                return False
            held.callback(os.close, lock)
            with suppress(OSError):  # nothing there, or no folder: nobody can use it
                descriptor = os.open(self.place(key), _FOLDER)
                held.callback(os.close, descriptor)
                if not locked(descriptor, _EXCLUSIVE) or (not whole and self._seal(key)):
                    return False
            self.remove(key)
            (self._locks / key).unlink(missing_ok=True)
            return True

    def prune(
        self, *, max_bytes: int | None = None, older_than: float | None = None
    ) -> list[Entry]:
        """Remove what was not used for `older_than` seconds, then what was used least recently until
        all take no more than `max_bytes`; never what is in use. Also the rubbish of processes that
        died. Returns the entries removed. Raises OSError."""
        entries = self.entries()
        total = sum(entry.seal.bytes for entry in entries)
        removed = []
        for entry in reversed(entries):
            old = older_than is not None and entry.used < time.time() - older_than
            large = max_bytes is not None and total > max_bytes
            if (old or large) and self.try_remove(entry.seal.key):
                total -= entry.seal.bytes
                removed.append(entry)
        self._sweep()
        return removed

    def _sweep(self) -> None:
        sweep_folders(self._cleared)
        sweep_files(self._seals)
        there = {name for name in self._keys(self._cleared) if self._seal(name) is not None}
        for folder in (self._cleared, self._seals, self._locks):
            for key in self._keys(folder) - there:
                self.try_remove(key, whole=False)
        self.sources.prune(_SOURCES_KEPT)

    def _keys(self, folder: Path) -> set[str]:
        return {
            name for entry in os.scandir(folder) if _KEY.fullmatch(name := entry.name.split(".")[0])
        }

    def _seal_of(self, key: str) -> Path:
        return self._seals / f"{key}.json"

    def _seal(self, key: str) -> Seal | None:
        """None where there is none, or none that reads: then the entry is made anew."""
        try:
            with open(open_regular(self._seal_of(key)), "rb") as file:
                seal = typed.decode(file.read(_MAX_SEAL), Seal)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return seal if seal.schema == SCHEMA and seal.key == key else None

    def _write(self, seal: Seal) -> None:
        replace_file(self._seal_of(seal.key), msgspec.json.encode(seal), durable=True)

    def _state(self, key: str) -> list[Sealed]:
        return state_of(self.place(key))

    def _valid(self, key: str, verify: bool) -> Seal | None:
        """The seal of an entry that is what it was. Raises NotLoadable when it is not."""
        seal = self._seal(key)
        if seal is None or (not verify and self._state(key) == seal.files):
            return seal
        return self._verified(seal)

    def _verified(self, seal: Seal) -> Seal:
        """A seal for the entry as it is, whose files have the bytes that the old one vouches for:
        a copy of the cache folder, say, has other inodes."""
        before = self._state(seal.key)
        if problems := self._problems(seal):
            raise self._changed(seal.key, problems)
        if before == seal.files:
            return seal
        seal = msgspec.structs.replace(seal, files=before)
        self._write(seal)
        return seal

    def _problems(self, seal: Seal) -> list[str]:
        path = self.place(seal.key)
        if path.is_symlink() or not path.is_dir():
            return ["the path is not a folder"]
        try:
            found = hash_files({path / manifest.NAME: ("blake3",)})[path / manifest.NAME]
            if found["blake3"] != seal.manifest:
                return [f"{manifest.NAME} differs from the one that was written"]
            return list(verify(path).problems)
        except (OSError, NotLoadable) as error:
            return [str(error)]

    def _changed(self, key: str, problems: list[str]) -> NotLoadable:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return NotLoadable(
            f"the cleared copy {self.place(key)} was changed after it was made: "
            f"{visible(problems[0])}{more}. Use refresh=True to clear the model again, or "
            "`safe-load cache verify --remove` to remove the copy."
        )

    def _lock(self, key: str) -> int | None:
        """A descriptor that holds the right to make or remove an entry; None while another does."""
        path = self._locks / key
        while True:
            try:
                descriptor = os.open(path, _LOCK, 0o600)
            except OSError as error:
                raise UsageError(
                    f"the cache folder {self.home} cannot be used: {error.strerror}; "
                    "name another with SAFE_LOAD_HOME"
                ) from error
            if not locked(descriptor, _EXCLUSIVE):
                os.close(descriptor)
                return None
            if is_same(path, descriptor):
                return descriptor
            os.close(descriptor)  # removed between open and flock: a lock on nothing

    def _busy(self, key: str) -> bool:
        try:
            descriptor = os.open(self.place(key), _FOLDER)
        except OSError:
            return False
        try:
            return not locked(descriptor, _EXCLUSIVE)
        finally:
            os.close(descriptor)


def state_of(path: Path) -> list[Sealed]:
    """What a folder and all below it are now. Raises OSError."""
    found = [("", path.lstat()), *walk(path)]
    return [
        # A folder's times and size are its file system's affair; its names are looked at.
        Sealed(name, status.st_ino, status.st_mode, 0, 0, 0)
        if stat.S_ISDIR(status.st_mode)
        else Sealed(
            name,
            status.st_ino,
            status.st_mode,
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
        for name, status in sorted(found)
    ]
