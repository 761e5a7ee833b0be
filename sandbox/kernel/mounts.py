"""Mounts by descriptor: open_tree(2), mount_setattr(2), move_mount(2), pivot_root(2).

A source is cloned to a descriptor while the host's tree is still visible and attached to the new
root afterwards, so no path of the host is resolved twice.
"""

from __future__ import annotations

import errno
import os
import struct

from safe_load.sandbox.kernel import libc

RDONLY, NOSUID, NODEV, NOEXEC = 0x1, 0x2, 0x4, 0x8  # MOUNT_ATTR_*, include/uapi/linux/mount.h

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = 0o2000000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 1, 6
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x4000, 0x40000, 0x2


def make_private() -> None:
    """Stop mount events from crossing into or out of this mount namespace."""
    libc.call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)


def clone(
    source: str,
    attributes: int,
    *,
    recursive: bool = False,
    identity: tuple[int, int] | None = None,
) -> int:
    """A descriptor of a detached bind mount of `source` (file or folder) with `attributes` set.
    recursive: with everything that is mounted below it. identity: the device and inode that it must
    be, or OSError is raised."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    path = os.fsencode(source)
    try:
        tree = libc.syscall(
            "open_tree", _AT_FDCWD, path, flags | (_AT_RECURSIVE if recursive else 0)
        )
    except OSError:
        # A folder over which something else is mounted can only be cloned with what is on it: the
        # kernel would otherwise uncover what a more privileged user hid (mount_namespaces(7)).
        recursive = True
        tree = libc.syscall("open_tree", _AT_FDCWD, path, flags | _AT_RECURSIVE)
    if identity is not None:
        status = os.fstat(tree)
        if (status.st_dev, status.st_ino) != tuple(identity):
            os.close(tree)
            raise OSError(
                errno.ESTALE, f"{source} was replaced by another file after it was inspected"
            )
    set_attributes(tree, attributes, recursive=recursive)
    return tree


def new_filesystem(kind: str, options: dict[str, str], attributes: int) -> int:
    """A descriptor of a detached new file system (tmpfs, proc) with mount attributes set."""
    context = libc.syscall("fsopen", kind.encode(), 1)
    try:
        for key, value in options.items():
            libc.syscall("fsconfig", context, _FSCONFIG_SET_STRING, key.encode(), value.encode(), 0)
        libc.syscall("fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return libc.syscall("fsmount", context, 1, attributes)
    finally:
        os.close(context)


def set_attributes(tree: int, attributes: int, *, recursive: bool = False) -> None:
    """Add mount attributes to the mount that `tree` refers to."""
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    request = struct.pack("=QQQQ", attributes, 0, 0, 0)
    libc.syscall("mount_setattr", tree, b"", flags, request, len(request))


def attach(tree: int, target: str) -> None:
    """Attach a detached mount at `target` and close its descriptor."""
    try:
        libc.syscall(
            "move_mount", tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH
        )
    finally:
        os.close(tree)


def detach(target: str) -> None:
    """Take away what is mounted at `target`, and what is mounted on that."""
    libc.call("umount2", os.fsencode(target), _MNT_DETACH)


def change_root(new_root: str) -> None:
    """Make `new_root` the root of the mount namespace and let go of the old one (pivot_root(2))."""
    os.chdir(new_root)
    libc.syscall("pivot_root", b".", b".")
    libc.call("umount2", b".", _MNT_DETACH)
    os.chdir("/")
