"""The SHA-256 of files that did not change since they were last hashed.

Zone: controller. As git's index does: a file that has the device, inode, size and times that it had
when it was hashed is not read again. A change in the same tick of the file system's clock would not
show in the times, so what was changed just before it was hashed is hashed again the next time
("racily clean", git's racy-git.txt). Changing a file and keeping its ctime takes root, its file
system's server, or a mapping of a tmpfs file: whoever fears that asks for a full hash.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from safe_load.errors import NotLoadable
from safe_load.files import replace_file, sweep_files
from safe_load.formats.escape import visible
from safe_load.hashing import open_regular, sha256_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

#: Seconds. No file system in use keeps times coarser than FAT's two.
_RACY = 2.0
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
        record = self.folder / f"{hashlib.sha256(os.fsencode(source)).hexdigest()}.json"
        known = _read(record) if trust else {}
        started = time.time()
        found = {place: signature(place) for place in places}
        fresh = [
            place
            for place, now in found.items()
            if (before := known.get(str(place))) is None
            or now != (before.device, before.inode, before.size, before.mtime_ns, before.ctime_ns)
        ]
        left = sum(found[place].size for place in fresh)

        def count(size: int) -> None:
            nonlocal left
            left -= size
            if left < 0:  # what grows faster than it is read would be read for ever
                raise NotLoadable(f"{visible(source)} was changed while it was read")
            if progress is not None:
                progress(size)

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
            settled = int((started - _RACY) * 1e9)
            _write(
                record,
                {
                    str(place): _Known(*now, digest)
                    for place, (now, digest) in result.items()
                    if place not in hashed or max(now.mtime_ns, now.ctime_ns) < settled
                },
            )
        return result

    def prune(self, keep: int) -> None:
        """Forget all but the `keep` sources that were hashed last."""
        sweep_files(self.folder)
        with os.scandir(self.folder) as entries:
            aged = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
        for _, path in aged[: max(0, len(aged) - keep)]:
            with suppress(OSError):
                os.unlink(path)  # noqa: PTH108


def signature(place: Path) -> Signature:
    """The file's signature now. Raises NotLoadable when it is gone."""
    try:
        return Signature.of(place.lstat())
    except OSError as error:
        raise NotLoadable(f"{visible(str(place))} cannot be read: {error.strerror}") from error


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
        return msgspec.json.decode(data, type=dict[str, _Known])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _write(record: Path, known: dict[str, _Known]) -> None:
    try:
        replace_file(record, msgspec.json.encode(known))
    except OSError:
        return  # no space, or a read-only disk: the next load hashes again
