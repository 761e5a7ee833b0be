"""Who may change what lies at a path: besides its owner and root, nobody shall. Zone: controller."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from functools import cache
from pathlib import Path


def doubt(path: Path) -> str | None:
    """Why somebody else could put another file or folder in this place, in a clause; None: nobody can.

    Looks at the path and at every folder above it, as it is written and where its links lead. What is
    not there yet is nobody's. A folder with the sticky bit, as /tmp has it, lets others add names but
    change none that is not theirs. Raises OSError for what cannot be looked at.
    """
    written = Path(os.path.abspath(path))  # noqa: PTH100 - links must stay
    for place in (written, Path(os.path.realpath(path))):
        for part in (*reversed(place.parents), place):
            try:
                status = part.lstat()
            except FileNotFoundError:
                break
            if (reason := _doubt(part, status, last=part == place)) is not None:
                return reason
    return None


def _doubt(part: Path, status: os.stat_result, *, last: bool) -> str | None:
    if status.st_uid not in (0, os.geteuid()) and status.st_uid != _unmapped():
        return f"{part} belongs to another user (uid {status.st_uid})"
    if stat.S_ISLNK(status.st_mode) or (status.st_mode & stat.S_ISVTX and not last):
        return None
    shared = status.st_mode & stat.S_IWGRP and not _only_mine(status.st_gid)
    if status.st_mode & stat.S_IWOTH or shared:
        return f"{part} can be written by others"
    return None


@cache
def _unmapped() -> int | None:
    """The user that the host's root is seen as, and every other one without a number here: in a user
    namespace (rootless containers) they cannot be told apart, and `/` is one of theirs. None: all have
    numbers. user_namespaces(7)."""
    try:
        ranges = [
            line.split() for line in Path("/proc/self/uid_map").read_text("ascii").splitlines()
        ]
        if any(int(length) >= 0xFFFF_FFFF for _, _, length in ranges):
            return None
        return int(Path("/proc/sys/kernel/overflowuid").read_text("ascii"))
    except (OSError, ValueError):
        return None


@cache
def _only_mine(group: int) -> bool:
    """Whether nobody but this user and root is in the group: root's own, or a group for one user alone,
    as most distributions make it."""
    if group == 0:
        return True
    try:
        user, found = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    alone = set(found.gr_mem) <= {user.pw_name}
    return alone and user.pw_gid == group and user.pw_name == found.gr_name
