"""The room's file system: built from nothing on a tmpfs; whatever is not put there is not there."""

from __future__ import annotations

import os
from typing import Any

from safe_load.sandbox.kernel import mounts

_STAGE = "/tmp"  # noqa: S108 - a mount point in our own mount namespace, nothing is written to it
_DEVICES = ("null", "random", "urandom")  # no zero: a shared mapping of it is memory nobody counts
SCRATCH = "/tmp"  # noqa: S108 - inside the room
HOME = "/home/user"
MODEL = "/model"
NAMESERVER = "192.0.2.53"  # of TEST-NET-1: where the sinkhole answers
_NOTHING = mounts.NOSUID | mounts.NODEV | mounts.NOEXEC

_FILES = {
    "/etc/passwd": f"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:{HOME}:/bin/sh\n",
    "/etc/group": "root:x:0:\nuser:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/hostname": "localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/resolv.conf": f"nameserver {NAMESERVER}\noptions timeout:1 attempts:1\n",
    # torch and numpy ask these for the number of cores; without them they complain on stderr.
    **dict.fromkeys(
        (f"/sys/devices/system/cpu/{name}" for name in ("online", "possible", "present")),
        f"0-{(os.cpu_count() or 1) - 1}\n",
    ),
}
_LINKS = {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/sbin": "usr/sbin"}


def build(spec: dict[str, Any]) -> None:
    """Build the root that `spec` describes and make it this mount namespace's root.

    spec: folders and files: [[source on the host, target inside], ...]; covered: folders inside that
    appear empty (they would show what a bound folder brings along); empty: folders that stay empty;
    links: {path: target}; planted: {path: text}; limits.
    Must be called as pid 1 of the room's pid namespace (procfs shows that namespace). Raises
    OSError.
    """
    mounts.make_private()
    readonly = mounts.RDONLY | mounts.NOSUID | mounts.NODEV
    # Clone every source while the host's tree is still in view: _STAGE may hide some of them.
    folders = [(mounts.clone(source, readonly), target) for source, target in spec["folders"]]
    files = [
        (mounts.clone(source, readonly | mounts.NOEXEC, identity=identity), target)
        for source, target, identity in spec["files"]
    ]
    devices = [
        (mounts.clone(f"/dev/{name}", mounts.NOSUID | mounts.NOEXEC), f"/dev/{name}")
        for name in _DEVICES
    ]
    root = mounts.new_filesystem(
        "tmpfs", {"mode": "0755", "size": "16m", "nr_inodes": "131072"}, _NOTHING
    )
    mounts.attach(root, _STAGE)
    for path, text in {**_FILES, **spec["planted"]}.items():
        make_file(_STAGE + path, text)
    for path in (HOME, SCRATCH, MODEL, "/proc", *spec["empty"]):
        os.makedirs(_STAGE + path, mode=0o755, exist_ok=True)
    for tree, target in folders:
        os.makedirs(_STAGE + target, mode=0o755, exist_ok=True)
        mounts.attach(tree, _STAGE + target)
    # After the folders: some of these lie on them, as a venv's packages do on the standard library.
    for path in spec["covered"]:
        if os.path.isdir(_STAGE + path):
            cover = mounts.new_filesystem(
                "tmpfs", {"mode": "0755", "size": "1m"}, _NOTHING | mounts.RDONLY
            )
            mounts.attach(cover, _STAGE + path)
    for tree, target in devices + files:
        make_file(_STAGE + target, "")
        mounts.attach(tree, _STAGE + target)
    for path, target in {**_LINKS, **spec["links"]}.items():
        if not os.path.lexists(_STAGE + path):
            os.symlink(target, _STAGE + path)
    _attach_own(spec["limits"], _STAGE)
    mounts.change_root(_STAGE)
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    mounts.set_attributes(root, _NOTHING | mounts.RDONLY)
    os.close(root)


def furnish(spec: dict[str, Any], model: int) -> None:
    """Make a copy of a warm room's root ready for one load: what differs from load to load lies on
    file systems of its own, which nobody else sees. model: a detached mount of the model's files."""
    mounts.make_private()
    mounts.attach(model, MODEL)
    home = mounts.new_filesystem("tmpfs", {"mode": "0755", "size": "1m"}, _NOTHING)
    writable = os.dup(home)
    mounts.attach(home, HOME)
    for path, text in spec["planted"].items():
        if path.startswith(f"{HOME}/"):
            make_file(path, text)
    mounts.set_attributes(writable, _NOTHING | mounts.RDONLY)
    os.close(writable)
    _attach_own(spec["limits"], "")


def assemble(files: list[tuple[str, str, tuple[int, int] | None]], stage: str) -> int:
    """A detached mount of a folder that shows exactly these files, read-only. files: (source on the
    host, target below MODEL, device and inode that it must be). Done where the host's files can be seen; `stage` is a folder there."""
    flags = mounts.RDONLY | mounts.NOSUID | mounts.NODEV | mounts.NOEXEC
    clones = [
        (mounts.clone(source, flags, identity=identity), target)
        for source, target, identity in files
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


def _attach_own(limits: dict[str, Any], prefix: str) -> None:
    """The file systems that every load has for itself: scratch, and its own processes."""
    scratch = mounts.new_filesystem(
        "tmpfs",
        {"mode": "1777", "size": str(limits["scratch"]), "nr_inodes": str(limits["scratch_files"])},
        _NOTHING,
    )
    mounts.attach(scratch, prefix + SCRATCH)
    # Only processes, and only one's own: no kernel log, no sysctl, no host facts (proc(5), 5.8).
    proc = mounts.new_filesystem("proc", {"subset": "pid", "hidepid": "invisible"}, _NOTHING)
    mounts.attach(proc, f"{prefix}/proc")


def make_file(path: str, text: str) -> None:
    """A file with that text, and the folders that lead to it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
