"""The room's files where no mount namespace can be had: a private folder of links, and Landlock's rules.

The folder shows below itself what a built root shows below `/`: the model, the runtime, a home with
decoys, each file a link to its real place; and it holds the scratch folder. What is not linked can
be named, as the host's tree is in view, but Landlock lets nothing of it be opened.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from contextlib import suppress
from typing import Any

from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.room import root

_NAME = re.compile(r"safe-load-[0-9a-f]{16}(\.new)?")
_NEW = ".new"  # what a folder's name ends with until its holder has locked it
_YOUNG_S = 60.0
#: Read besides what the job needs: by the dynamic loader, and by torch and numpy for the cores.
_READABLE = ("/etc/ld.so.cache", "/sys/devices/system/cpu", "/dev/random", "/dev/urandom")
#: Paths that the room has for itself, and the host too: the host's are shown below _HOST.
_OWN = (root.SCRATCH, root.HOME, root.MODEL, "/runtime")
_HOST = "/host"


def make(place: str) -> tuple[str, int]:
    """A new private folder in `place`, and the descriptor that keeps it: whoever still has a copy of
    that is why `sweep` leaves the folder alone. Raises OSError."""
    path = f"{place}/safe-load-{os.urandom(8).hex()}"
    os.mkdir(path + _NEW, 0o700)
    held = os.open(path + _NEW, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.rename(path + _NEW, path)
    return path, held


def furnish(spec: dict[str, Any], path: str, owner: int | None) -> dict[str, int]:
    """Put into the folder what `spec` describes (as root.build takes it), and return Landlock's rules
    for it. owner: the worker's user, where it is not this process's own. Raises OSError."""
    rules: dict[str, int] = {}
    for target in (root.HOME, root.SCRATCH, root.MODEL, *spec["empty"]):
        os.makedirs(path + target, mode=0o755, exist_ok=True)
    for target, text in spec["planted"].items():
        root.make_file(path + target, text)
    for source, target in spec["folders"]:
        _link(source, path, target)
        rules |= _all_but(source, spec["covered"])
    for source, target, _ in spec["files"]:
        if stat.S_ISDIR(os.stat(source).st_mode):
            raise IsADirectoryError(f"{source} is a folder, not a file")
        _link(source, path, target)
        rules[source] = landlock.READ_FILE
    for each in (*_READABLE, *(path + target for target in (root.HOME, root.MODEL, "/runtime"))):
        if os.path.exists(each):
            rules[each] = landlock.READ
    if owner is not None:
        os.chmod(path, 0o711)  # noqa: S103 - the worker must get to what is its own
        os.chown(path + root.SCRATCH, owner, owner)
    return rules


def _link(source: str, path: str, target: str) -> None:
    if source != target:
        os.makedirs(os.path.dirname(path + target), mode=0o755, exist_ok=True)
        os.symlink(os.path.realpath(source), path + target)


def _all_but(folder: str, covered: list[str]) -> dict[str, int]:
    """Rules for a folder without some that lie in it: their names can be listed, and no more."""
    if not any(each.startswith(f"{folder}/") and os.path.isdir(each) for each in covered):
        return {folder: landlock.READ}
    rules = {folder: landlock.READ_DIR}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.path not in covered and os.path.exists(entry.path):
                rules[entry.path] = landlock.READ
    return rules


class Paths:
    """From paths of the host to what they are in the room."""

    def __init__(self, spec: dict[str, Any], path: str) -> None:
        pairs = [(source, target) for source, target, *_ in (*spec["folders"], *spec["files"])]
        pairs += [(os.path.realpath(source), target) for source, target in pairs]
        pairs = [(source, target) for source, target in pairs if source != target]
        self._pairs = sorted(set(pairs), key=lambda pair: -len(pair[0]))
        self._path = path

    def shown(self, path: str) -> str:
        """What lies in the room's folder, without the folder; what is linked there, by its name there;
        and the host's own, below /host where the room has the same path."""
        if path == self._path or path.startswith(f"{self._path}/"):
            return path.removeprefix(self._path) or "/"
        for source, target in self._pairs:
            if path == source or path.startswith(f"{source}/"):
                return f"{target}{path.removeprefix(source)}"
        return _HOST + path if f"{path}/".startswith(tuple(f"{own}/" for own in _OWN)) else path


def places(spec: dict[str, Any]) -> set[str]:
    """The paths of the job's files, and of the folders they lie in, as the job names them."""
    return {root.MODEL, *spec["empty"], *(target for _, target, _ in spec["files"])}


def translated(value: Any, places: set[str], path: str) -> Any:
    """A job's argument in which these paths are where this room has them."""
    if isinstance(value, str):
        return path + value if value in places else value
    if isinstance(value, dict):
        return {key: translated(item, places, path) for key, item in value.items()}
    return [translated(item, places, path) for item in value] if isinstance(value, list) else value


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


def size(path: str) -> tuple[dict[int, int], int]:
    """What the scratch folder of a room at work holds: inode -> bytes on the disk, and the number of
    names. What vanishes meanwhile is not counted."""
    sizes: dict[int, int] = {}
    names = 0
    waiting = [path + root.SCRATCH]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                names += 1
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    sizes[found.st_ino] = found.st_blocks * 512
                    if stat.S_ISDIR(found.st_mode):
                        waiting.append(entry.path)
    return sizes, names
