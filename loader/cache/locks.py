"""Locks on the cache's entries, and the folder that they lie in.

Zone: controller.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from safe_load.core.errors import UsageError
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from pathlib import Path

_MOST_HELD = 64


class Held:
    """The entries that this process uses, each with a descriptor that holds its lock."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._descriptors: OrderedDict[tuple[str, str], int] = OrderedDict()

    def hold(self, name: tuple[str, str], descriptor: int) -> None:
        """Keep this lock until the process ends, or has used many other entries since."""
        with self._guard:
            if (before := self._descriptors.pop(name, None)) is not None:
                os.close(before)
            self._descriptors[name] = descriptor
            if len(self._descriptors) > _MOST_HELD:
                os.close(self._descriptors.popitem(last=False)[1])


HELD = Held()


def locked(descriptor: int, how: int) -> bool:
    """Lock it; False when it must not wait and somebody holds it. Raises UsageError where files cannot be locked."""
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UsageError(
            f"the cache folder is on a file system that cannot lock files ({error.strerror}); "
            "name another with SAFE_LOAD_HOME"
        ) from error
    return True


def is_same(path: Path, descriptor: int) -> bool:
    """Whether the file at `path` is still the one that was opened."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def require_own(folder: Path) -> None:
    """Make the cache folder where there is none. Raises UsageError for one that others may write."""
    name = f"the cache folder {visible(str(folder))}"
    other = "set SAFE_LOAD_HOME to another folder"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        writable = os.access(folder, os.W_OK | os.X_OK)
    except FileExistsError as error:
        raise UsageError(f"{name} is not a folder; {other}") from error
    except OSError as error:
        raise UsageError(f"{name} cannot be created: {error.strerror}; {other}") from error
    if status.st_uid != os.geteuid():
        raise UsageError(f"{name} belongs to another user (uid {status.st_uid}); {other}")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"{name} can be written by others: run chmod go-w on it, or {other}")
    if not writable:
        raise UsageError(f"{name} cannot be written; {other}")
