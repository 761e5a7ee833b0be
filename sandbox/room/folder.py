"""The room's files where no mount namespace can be had: a private folder of links, and Landlock's rules.

The folder shows below itself what a built root shows below `/`: the model, the runtime, a home with
decoys, each file a link to its real place; and it holds the scratch folder. What is not linked can
be named, as the host's tree is in view, but Landlock lets nothing of it be opened.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from safe_load.sandbox.kernel import landlock
from safe_load.sandbox.room import root

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.sandbox.protocol import HostOrder

#: Read besides what the job needs: by the dynamic loader, and by torch and numpy for the cores.
_READABLE = ("/etc/ld.so.cache", "/sys/devices/system/cpu", "/dev/random", "/dev/urandom")
#: Paths that the room has for itself, and the host too: the host's are shown below _HOST.
_OWN = (root.SCRATCH, root.HOME, root.MODEL, "/runtime")
_HOST = "/host"


def populate(order: HostOrder, path: str, owner: int | None) -> dict[str, int]:
    """Put into the folder what the order describes, and return Landlock's rules for it. owner: the worker's user, where it is not this process's own. Raises OSError."""
    rules: dict[str, int] = {}
    for target in (root.HOME, root.SCRATCH, root.MODEL, *order.empty):
        os.makedirs(path + target, mode=0o755, exist_ok=True)
    for target, text in order.planted.items():
        root.make_file(path + target, text)
    for source, target in order.folders:
        _link(source, path, target)
        rules |= _all_but(source, order.covered)
    for file in order.files:
        if stat.S_ISDIR(os.stat(file.source).st_mode):
            raise IsADirectoryError(f"{file.source} is a folder, not a file")
        _link(file.source, path, file.target)
        rules[file.source] = landlock.READ_FILE
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


def _all_but(folder: str, covered: Sequence[str]) -> dict[str, int]:
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

    def __init__(self, order: HostOrder, path: str) -> None:
        pairs = [*order.folders, *((file.source, file.target) for file in order.files)]
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


def places(order: HostOrder) -> set[str]:
    """The paths of the job's files, and of the folders they lie in, as the job names them."""
    return {root.MODEL, *order.empty, *(file.target for file in order.files)}


def translated(value: Any, places: set[str], path: str) -> Any:
    """A job's argument in which these paths are where this room has them."""
    if isinstance(value, str):
        return path + value if value in places else value
    if isinstance(value, dict):
        return {key: translated(item, places, path) for key, item in value.items()}
    return [translated(item, places, path) for item in value] if isinstance(value, list) else value


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
