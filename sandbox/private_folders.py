"""Private folders that are held by a lock, and removed by whoever comes next when their holder was killed.

Standard library only: rooms of tier B import it too.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from contextlib import suppress

_NAME = re.compile(r"safe-load-[0-9a-f]{16}(\.new)?")
_NEW = ".new"  # what a folder's name ends with until its holder has locked it
_YOUNG_S = 60.0


def make(place: str) -> tuple[str, int]:
    """A new private folder in `place`, and the descriptor that keeps it: whoever still has a copy of
    that is why `sweep` leaves the folder alone. Raises OSError."""
    path = f"{place}/safe-load-{os.urandom(8).hex()}"
    os.mkdir(path + _NEW, 0o700)
    held = os.open(path + _NEW, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.rename(path + _NEW, path)
    return path, held


def remove(path: str) -> None:
    """Remove the folder and all that a worker left in it, however deep. When every process inside is
    dead. Raises OSError.

    What lies in a folder is moved up before it is removed, so that neither a path nor a stack grows.
    """
    with suppress(FileNotFoundError):
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while names := os.listdir(top):
                for name in names:
                    _remove_entry(top, name)
        finally:
            os.close(top)
        os.rmdir(path)


def _remove_entry(top: int, name: str) -> None:
    if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.unlink(name, dir_fd=top)
        return
    os.chmod(name, 0o700, dir_fd=top)
    below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for inner in os.listdir(below):
            if stat.S_ISDIR(os.lstat(inner, dir_fd=below).st_mode):
                os.chmod(inner, 0o700, dir_fd=below)  # renaming a folder writes into it
                os.rename(inner, f"{os.urandom(8).hex()}", src_dir_fd=below, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=below)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=top)


def sweep(place: str) -> None:
    """Remove the folders of rooms whose every process was killed before it could do so."""
    with os.scandir(place) as entries:
        names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
    for name in names:
        with suppress(OSError):  # another user's, in use, or gone meanwhile
            _sweep_one(f"{place}/{name}")


def _sweep_one(path: str) -> None:
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(held)
        young = path.endswith(_NEW) and time.time() - found.st_mtime < _YOUNG_S
        if found.st_uid == os.geteuid() and not young:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
    finally:
        os.close(held)
