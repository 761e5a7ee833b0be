"""The room's file system: built from nothing on a tmpfs; whatever is not put there is not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from safe_load.sandbox.kernel import mounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.sandbox.protocol import File, HostOrder

_STAGE = "/tmp"  # noqa: S108 - a mount point in our own mount namespace, nothing is written to it
_DEVICES = ("null", "random", "urandom")  # no zero: a shared mapping of it is memory nobody counts
SCRATCH = "/tmp"  # noqa: S108 - inside the room
#: The room looks like a machine that many people rent: this user, this folder, such a name.
USER = "ubuntu"
HOME = f"/home/{USER}"
#: Another one for each room; what is forked from a warm room shares its own.
HOSTNAME = "ip-172-31-{}-{}".format(*os.urandom(2))
MODEL = "/model"
NAMESERVER = "192.0.2.53"  # of TEST-NET-1: where the sinkhole answers
_READONLY = mounts.RDONLY | mounts.NOSUID | mounts.NODEV
_NOTHING = mounts.NOSUID | mounts.NODEV | mounts.NOEXEC

_FILES = {
    "/etc/passwd": f"root:x:0:0:root:/root:/bin/bash\n{USER}:x:1000:1000:Ubuntu:{HOME}:/bin/bash\n",
    "/etc/group": f"root:x:0:\n{USER}:x:1000:\n",
    "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {HOSTNAME}\n::1 localhost\n",
    "/etc/hostname": f"{HOSTNAME}\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/resolv.conf": f"nameserver {NAMESERVER}\noptions timeout:1 attempts:1\n",
    # torch and numpy ask these for the number of cores; without them they complain on stderr.
    **dict.fromkeys(
        (f"/sys/devices/system/cpu/{name}" for name in ("online", "possible", "present")),
        f"0-{(os.cpu_count() or 1) - 1}\n",
    ),
}
_LINKS = {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/sbin": "usr/sbin"}


def build(order: HostOrder) -> None:
    """Build the root that the order describes and make it this mount namespace's root.

    Must be called as pid 1 of the room's pid namespace (procfs shows that namespace). Raises
    OSError.
    """
    mounts.make_private()
    # Clone every source while the host's tree is still in view: _STAGE may hide some of them.
    writable = () if order.program is None else order.program.writable
    executable = () if order.program is None else order.program.executable
    folders = [
        (mounts.clone(source, _NOTHING if target in writable else _READONLY), target)
        for source, target in order.folders
    ]
    files = [
        (
            mounts.clone(
                each.source,
                _READONLY if _may_be_code(each.target, executable) else _READONLY | mounts.NOEXEC,
                identity=each.identity,
            ),
            each.target,
        )
        for each in order.files
    ]
    devices = [
        (mounts.clone(f"/dev/{name}", mounts.NOSUID | mounts.NOEXEC), f"/dev/{name}")
        for name in _DEVICES
    ]
    root = mounts.new_filesystem(
        "tmpfs", {"mode": "0755", "size": "16m", "nr_inodes": "131072"}, _NOTHING
    )
    mounts.attach(root, _STAGE)
    for path, text in {**_FILES, **order.planted}.items():
        make_file(_STAGE + path, text)
    for path in (HOME, SCRATCH, MODEL, "/proc", *order.empty):
        os.makedirs(_STAGE + path, mode=0o755, exist_ok=True)
    for tree, target in folders:
        os.makedirs(_STAGE + target, mode=0o755, exist_ok=True)
        mounts.attach(tree, _STAGE + target)
    # After the folders: some of these lie on them, as a venv's packages do on the standard library.
    for path in order.covered:
        if os.path.isdir(_STAGE + path):
            cover = mounts.new_filesystem(
                "tmpfs", {"mode": "0755", "size": "1m"}, _NOTHING | mounts.RDONLY
            )
            mounts.attach(cover, _STAGE + path)
    for tree, target in devices + files:
        make_file(_STAGE + target, "")
        mounts.attach(tree, _STAGE + target)
    for path, target in {**_LINKS, **order.links}.items():
        if not os.path.lexists(_STAGE + path):
            os.symlink(target, _STAGE + path)
    _attach_own(order, _STAGE)
    mounts.change_root(_STAGE)
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    mounts.set_attributes(root, _NOTHING | mounts.RDONLY)
    os.close(root)


def _may_be_code(target: str, executable: Iterable[str]) -> bool:
    """Whether a file is one of the program's, or a library of an installed package: a single module may be
    one (_cffi_backend.so)."""
    return target in executable or (target.startswith("/runtime/site/") and target.endswith(".so"))


def populate(order: HostOrder, model: int) -> None:
    """Make a copy of a warm room's root ready for one load: what differs from load to load lies on
    file systems of its own, which nobody else sees. model: a detached mount of the model's files."""
    mounts.make_private()
    mounts.attach(model, MODEL)
    home = mounts.new_filesystem("tmpfs", {"mode": "0755", "size": "1m"}, _NOTHING)
    writable = os.dup(home)
    _attach_over(home, "", HOME, order.readable)
    for path, text in order.planted.items():
        if path.startswith(f"{HOME}/"):
            make_file(path, text)
    mounts.set_attributes(writable, _NOTHING | mounts.RDONLY)
    os.close(writable)
    _attach_own(order, "")


def assemble(files: tuple[File, ...], stage: str) -> int:
    """A detached mount of a folder that shows exactly these files, read-only; each target is below
    MODEL. Done where the host's files can be seen; `stage` is a folder there."""
    flags = mounts.RDONLY | mounts.NOSUID | mounts.NODEV | mounts.NOEXEC
    clones = [
        (mounts.clone(each.source, flags, identity=each.identity), each.target) for each in files
    ]
    folder = mounts.new_filesystem("tmpfs", {"mode": "0755", "size": "16m"}, _NOTHING)
    mounts.attach(folder, stage)
    for tree, target in clones:
        place = stage + target.removeprefix(MODEL)
        make_file(place, "")
        mounts.attach(tree, place)
    whole = mounts.clone(stage, flags, recursive=True)
    mounts.detach(stage)
    return whole


def _attach_over(
    tree: int, prefix: str, place: str, readable: Iterable[str], writable: Iterable[str] = ()
) -> None:
    """Attach a file system, and show again what of the runtime lies below: the host's Python may live
    in a folder of that name."""
    kept = [
        (
            mounts.clone(
                prefix + path, _NOTHING if path in writable else _READONLY, recursive=True
            ),
            os.path.isdir(prefix + path),
            path,
        )
        for path in dict.fromkeys(readable)
        if path.startswith(f"{place}/") and os.path.exists(prefix + path)
    ]
    mounts.attach(tree, prefix + place)
    for each, is_folder, path in kept:
        if is_folder:
            os.makedirs(prefix + path, mode=0o755, exist_ok=True)
        else:
            make_file(prefix + path, "")
        mounts.attach(each, prefix + path)


def _attach_own(order: HostOrder, prefix: str) -> None:
    """The file systems that every load has for itself: scratch, and its own processes."""
    limits = order.limits
    scratch = mounts.new_filesystem(
        "tmpfs",
        {"mode": "1777", "size": str(limits.scratch), "nr_inodes": str(limits.scratch_files)},
        _NOTHING,
    )
    writable = () if order.program is None else order.program.writable
    _attach_over(scratch, prefix, SCRATCH, order.readable, writable)
    # Only processes, and only one's own: no kernel log, no sysctl, no host facts (proc(5), 5.8).
    proc = mounts.new_filesystem("proc", {"subset": "pid", "hidepid": "invisible"}, _NOTHING)
    mounts.attach(proc, f"{prefix}/proc")


def make_file(path: str, text: str) -> None:
    """A file with that text, and the folders that lead to it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
