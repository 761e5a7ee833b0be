"""Landlock: landlock(7). A process gives up the file system, TCP and signals, for good."""

from __future__ import annotations

import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from safe_load.sandbox.kernel import libc

if TYPE_CHECKING:
    from collections.abc import Mapping

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
TRUNCATE = 1 << 14
READ = READ_FILE | READ_DIR
#: What a scratch folder allows: everything but executing, devices (bits 6, 11) and device ioctls.
SCRATCH = sum(1 << bit for bit in (1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 13, 14))
_FILE_ONLY = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE

_CREATE_VERSION = 1
_RULE_PATH_BENEATH = 1
_SCOPES = 0b11  # abstract unix sockets, signals
#: The ABI version that bounds whom signals reach, and the one that holds files against truncation.
SIGNALS, TRUNCATION = 6, 3
#: No kernel has a newer one.
NEWEST = 1000


def abi() -> int:
    """The Landlock ABI version of this kernel; 0 when it has none or it is switched off."""
    try:
        return libc.syscall("landlock_create_ruleset", None, 0, _CREATE_VERSION)
    except OSError:
        return 0


def _handled_files(version: int) -> int:
    bits = 13  # ABI 1
    if version >= 2:
        bits = 14  # + refer
    if version >= 3:
        bits = 15  # + truncate
    if version >= 5:
        bits = 16  # + ioctl on devices
    return (1 << bits) - 1


def describe(version: int) -> str:
    """What this ABI version confines, for people."""
    parts = ["files"]
    if version >= 4:
        parts.append("TCP")
    if version >= 6:
        parts += ["abstract sockets", "signals"]
    return f"ABI {version}: {', '.join(parts)}"


def restrict(
    rules: Mapping[str, int], identities: Mapping[str, tuple[int, int]], most: int = NEWEST
) -> int:
    """Confine the calling thread and its children to `rules` (path -> access bits), with no TCP, no
    abstract socket and no signal to the outside where the kernel knows them.

    identities: the device and inode that the file at a path must be, or OSError is raised. A rule
    hangs on the file that was found, not on its name. most: use no newer ABI than that one.

    Returns the ABI version that stands. Raises OSError when Landlock is not available. The caller
    must have set no_new_privs. Must be called while the process has one thread.
    """
    version = min(abi(), most)
    if version < 1:
        raise OSError("the kernel offers no Landlock (Linux 5.13 or newer, with lsm=landlock)")
    handled = _handled_files(version)
    attributes = struct.pack(
        "=QQQ", handled, 0b11 if version >= 4 else 0, _SCOPES if version >= SIGNALS else 0
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall("landlock_create_ruleset", attributes[:size], size, 0)
    try:
        for path, access in rules.items():
            _allow(ruleset, path, access & handled, identities.get(path))
        libc.syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, access: int, identity: tuple[int, int] | None) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if identity is not None and (found.st_dev, found.st_ino) != tuple(identity):
            raise OSError(
                errno.ESTALE, f"{path} was replaced by another file after it was inspected"
            )
        if not stat.S_ISDIR(found.st_mode):
            access &= _FILE_ONLY
        rule = struct.pack("=Qi", access, descriptor)
        libc.syscall("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
