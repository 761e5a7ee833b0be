"""The SHA-256 of files that did not change since they were last hashed.

Zone: controller. As git's index does: a file that has the device, inode, size and times that it had
when it was hashed is not read again. A change in the same tick of the file system's clock would not
show in the times, so what was changed just before it was hashed is hashed again the next time
("racily clean", git's racy-git.txt). Changing a file and keeping its ctime takes root, its file
system's server, or a mapping of a tmpfs file: whoever fears that asks for a full hash. On other file systems a
mapping changes the ctime with the first write to a page since the page went to the disk, and with no
other: a file that somebody else could have mapped goes to the disk before it is hashed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from safe_load.core import typed
from safe_load.core.atomic_files import replace_file, sweep_files
from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.core.hashing import open_regular, sha256_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

#: Seconds. No file system in use keeps times coarser than FAT's two. One whose times have digits below
#: the millisecond takes them from the kernel's clock, which ticks at least 100 times a second.
_RACY, _RACY_FINE = 2.0, 0.1
_MAX_RECORD = 64 << 20


class Signature(NamedTuple):
    """What changes when a file does."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


class _Known(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    sha256: str

    @property
    def signature(self) -> Signature:
        return Signature(self.device, self.inode, self.size, self.mtime_ns, self.ctime_ns)


@dataclass(frozen=True)
class SourceIndex:
    """What was hashed before, one small file for each source, in a folder that only its owner may
    write to."""

    folder: Path

    def digests(
        self,
        source: str,
        places: Collection[Path],
        *,
        trust: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> dict[Path, tuple[Signature, str]]:
        """The signature and SHA-256 of each file of one source. trust: whether to believe what was
        hashed before. progress: as for `hashing.sha256_files`. Raises NotLoadable for what cannot
        be read, or changes meanwhile."""
        record = self._record(source)
        known = _read(record) if trust else {}
        started = time.time()
        found = {place: signature(place) for place in places}
        fresh = [
            place
            for place, now in found.items()
            if (before := known.get(str(place))) is None or now != before.signature
        ]
        left = sum(found[place].size for place in fresh)

        def count(size: int) -> None:
            nonlocal left
            left -= size
            if left < 0:  # what grows faster than it is read would be read for ever
                raise NotLoadable(f"{visible(source)} was changed while it was read")
            if progress is not None:
                progress(size)

        kept = {place for place in fresh if write_back(place)}
        try:
            hashed = sha256_files(fresh, progress=count)
        except OSError as error:
            raise NotLoadable(str(error)) from error
        require_unchanged({place: found[place] for place in fresh})
        result = {
            place: (now, hashed[place] if place in hashed else known[str(place)].sha256)
            for place, now in found.items()
        }
        if fresh:
            _write(
                record,
                {
                    str(place): _Known(*now, digest)
                    for place, (now, digest) in result.items()
                    if place not in hashed or (place in kept and _settled(now, started))
                },
            )
        return result

    def known(self, source: str, found: dict[Path, Signature]) -> dict[Path, str] | None:
        """The SHA-256 of each of these files, if all of them are what they were when they were hashed.
        Nothing is read."""
        known = _read(self._record(source))
        result = {}
        for place, now in found.items():
            before = known.get(str(place))
            if before is None or now != before.signature:
                return None
            result[place] = before.sha256
        return result

    def remember(
        self, source: str, hashed: dict[Path, tuple[Signature, str]], started: float
    ) -> bool:
        """Take over what somebody else hashed: the signature that each file had before and after. started:
        before any of them was read, in seconds since 1970. Returns False, and takes nothing over, where
        a file had changed just before."""
        if not all(_settled(now, started) for now, _ in hashed.values()):
            return False
        _write(
            self._record(source),
            {str(place): _Known(*now, digest) for place, (now, digest) in hashed.items()},
        )
        return True

    def _record(self, source: str) -> Path:
        return self.folder / f"{hashlib.sha256(os.fsencode(source)).hexdigest()}.json"

    def prune(self, keep: int) -> None:
        """Forget all but the `keep` sources that were hashed last."""
        sweep_files(self.folder)
        with os.scandir(self.folder) as entries:
            aged = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
        for _, path in aged[: max(0, len(aged) - keep)]:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108


def _settled(now: Signature, started: float) -> bool:
    """Whether a change since `started` would show in the times. The ctime is the kernel's own: nobody
    sets its digits."""
    window = _RACY_FINE if now.ctime_ns % 1_000_000 else _RACY
    return max(now.mtime_ns, now.ctime_ns) < int((started - window) * 1e9)


def signature(place: Path) -> Signature:
    """The file's signature now. Raises NotLoadable when it is gone."""
    try:
        return Signature.of(place.lstat())
    except OSError as error:
        raise NotLoadable(f"{visible(str(place))} cannot be read: {error.strerror}") from error


def write_back(place: Path) -> bool:
    """Have a file that others may have written on the disk, so that each later write by way of a mapping
    shows in the ctime. False where that cannot be known."""
    try:
        descriptor = open_regular(place)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            os.fdatasync(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def require_unchanged(before: dict[Path, Signature]) -> None:
    """Raises NotLoadable for a file that has another signature than it had."""
    for place, then in before.items():
        if signature(place) != then:
            raise NotLoadable(f"{visible(str(place))} was changed while it was read")


def _read(record: Path) -> dict[str, _Known]:
    """What is known of one source; nothing where the record does not read, which only costs time."""
    try:
        with open(open_regular(record), "rb") as file:
            data = file.read(_MAX_RECORD + 1)
        return typed.decode(data, dict[str, _Known])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _write(record: Path, known: dict[str, _Known]) -> None:
    try:
        replace_file(record, msgspec.json.encode(known))
    except OSError:
        return  # no space, or a read-only disk: the next load hashes again
