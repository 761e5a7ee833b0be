"""What a container is given of the host: its files, its user, and where it may write.

Zone: controller. An engine is told paths and numbers, so each is looked at here, before it is told.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.sandbox import runtime
from safe_load.sandbox.room import root
from safe_load.sandbox.room.launch import container

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.profiles import Limits
    from safe_load.sandbox.backends.interface import Job

#: Who the container's processes are when the controller is root; an ordinary user is himself.
_NOBODY = 65532
_HOME_FILES = 128


def tmpfs(limits: Limits, user: tuple[int, int], podman: bool) -> dict[str, str]:
    """Where to mount one, and how. Podman takes no owner and no number of files, which the watch counts;
    it makes some folders writable that shall not be."""
    inert = "rw,nosuid,nodev,noexec"
    scratch, home = f"{inert},size={limits.scratch}", f"{inert},size={container.HOME_BYTES}"
    if podman:
        closed = dict.fromkeys(("/run", "/var/tmp"), "ro,nosuid,nodev,noexec,size=4k")  # noqa: S108
        return {root.SCRATCH: f"{scratch},mode=1777", root.HOME: f"{home},mode=0777", **closed}
    return {
        root.SCRATCH: f"{scratch},nr_inodes={limits.scratch_files},mode=1777",
        root.HOME: f"{home},nr_inodes={_HOME_FILES},mode=0700,uid={user[0]},gid={user[1]}",
    }


def binds(job: Job) -> list[tuple[str, str, bool]]:
    """What a job's own container shows. Raises OSError."""
    binds = [(str(bind.source), bind.target, False) for bind in job.files]
    binds += modules_shown(job.modules)
    return binds + [
        (_path_of(descriptor), f"{container.OUTPUTS}/{number}", True)
        for number, descriptor in enumerate(job.outputs)
    ]


def modules_shown(modules: tuple[Path, ...]) -> list[tuple[str, str, bool]]:
    """Where a container shows a job's own modules."""
    return [(str(path), f"{runtime.MODULES}/{path.name}", False) for path in modules]


def user_for(job: Job) -> tuple[int, int]:
    """Who the container's processes are: the caller; for root nobody, or else the owner of a file
    that nobody may not read. Raises OSError when there is no such user."""
    paths = [*(bind.source for bind in job.files), *job.modules]
    found = {path: path.stat() for path in paths}
    candidates = [(os.geteuid(), os.getegid())]
    if os.geteuid() == 0:
        owners = ((status.st_uid, status.st_gid) for status in found.values())
        candidates = [(_NOBODY, _NOBODY), *dict.fromkeys(owners)]
    for user in candidates:
        if all(_may_read(user, status) for status in found.values()):
            return user
    refused = next(path for path, status in found.items() if not _may_read(candidates[0], status))
    raise PermissionError(
        f"{refused} permission denied for user {candidates[0][0]}, which the container runs as: chmod a+r the "
        "file, or use --backend native"
    )


def _may_read(user: tuple[int, int], status: os.stat_result) -> bool:
    """Without any capability."""
    if status.st_uid == user[0]:
        return bool(status.st_mode & 0o400)
    return bool(status.st_mode & (0o040 if status.st_gid == user[1] else 0o004))


@contextmanager
def writable(job: Job, user: tuple[int, int]) -> Iterator[None]:
    """Let the container's user write to the job's outputs, for as long as it runs."""
    before = {descriptor: os.fstat(descriptor) for descriptor in job.outputs}
    foreign = {
        descriptor: status for descriptor, status in before.items() if status.st_uid != user[0]
    }
    try:
        for descriptor in foreign:
            os.fchown(descriptor, *user)
    except OSError as error:
        raise OSError(f"an output cannot be given to user {user[0]}: {error.strerror}") from error
    try:
        yield
    finally:
        for descriptor, status in foreign.items():
            os.fchown(descriptor, status.st_uid, status.st_gid)


def _path_of(descriptor: int) -> str:
    """The name of an open regular file. Raises OSError when it has none."""
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or identity(path.lstat()) != identity(status):
        raise OSError(
            f"the output {path} is not a named file, so it cannot be mounted into a container"
        )
    return str(path)


def identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
