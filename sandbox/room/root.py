"""The room's file system: built from nothing on a tmpfs; whatever is not put there is not there."""

from __future__ import annotations

import os
from typing import Any

from safe_load.sandbox.kernel import mounts

_STAGE = "/tmp"  # noqa: S108 - a mount point in our own mount namespace, nothing is written to it
_DEVICES = ("null", "random", "urandom")  # no zero: a shared mapping of it is memory nobody counts
SCRATCH = "/tmp"  # noqa: S108 - inside the room
HOME = "/home/user"

_FILES = {
    "/etc/passwd": f"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:{HOME}:/bin/sh\n",
    "/etc/group": "root:x:0:\nuser:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/hostname": "localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/resolv.conf": "nameserver 192.0.2.53\noptions timeout:1 attempts:1\n",
    # torch and numpy ask these for the number of cores; without them they complain on stderr.
    **dict.fromkeys(
        (f"/sys/devices/system/cpu/{name}" for name in ("online", "possible", "present")),
        f"0-{(os.cpu_count() or 1) - 1}\n",
    ),
}
_LINKS = {"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64", "/sbin": "usr/sbin"}


def build(spec: dict[str, Any]) -> None:
    """Build the root that `spec` describes and make it this mount namespace's root.

    spec: folders and files: [[source on the host, target inside], ...]; empty: targets that stay
    empty folders (they hide what a bound folder would show); links: {path: target}; planted: {path: text};
    limits.
    Must be called as pid 1 of the room's pid namespace (procfs shows that namespace). Raises
    OSError.
    """
    mounts.make_private()
    readonly = mounts.RDONLY | mounts.NOSUID | mounts.NODEV
    # Clone every source while the host's tree is still in view: _STAGE may hide some of them.
    folders = [(mounts.clone(source, readonly), target) for source, target in spec["folders"]]
    files = [
        (mounts.clone(source, readonly | mounts.NOEXEC), target) for source, target in spec["files"]
    ]
    devices = [
        (mounts.clone(f"/dev/{name}", mounts.NOSUID | mounts.NOEXEC), f"/dev/{name}")
        for name in _DEVICES
    ]
    limits = spec["limits"]
    nothing = mounts.NOSUID | mounts.NODEV | mounts.NOEXEC
    root = mounts.new_filesystem("tmpfs", {"mode": "0755", "size": "16m", "nr_inodes": "131072"}, nothing)
    mounts.attach(root, _STAGE)
    for path, text in {**_FILES, **spec["planted"]}.items():
        _make_file(_STAGE + path, text)
    for path in (HOME, SCRATCH, "/proc", *spec["empty"]):
        os.makedirs(_STAGE + path, mode=0o755, exist_ok=True)
    for tree, target in folders:
        os.makedirs(_STAGE + target, mode=0o755, exist_ok=True)
        mounts.attach(tree, _STAGE + target)
    # After the folders: some of these lie on them, as a venv's packages do on the standard library.
    for path in spec["covered"]:
        if os.path.isdir(_STAGE + path):
            cover = mounts.new_filesystem("tmpfs", {"mode": "0755", "size": "1m"}, nothing)
            mounts.attach(cover, _STAGE + path)
    for tree, target in devices + files:
        _make_file(_STAGE + target, "")
        mounts.attach(tree, _STAGE + target)
    for path, target in {**_LINKS, **spec["links"]}.items():
        if not os.path.lexists(_STAGE + path):
            os.symlink(target, _STAGE + path)
    scratch = mounts.new_filesystem(
        "tmpfs",
        {"mode": "1777", "size": str(limits["scratch"]), "nr_inodes": str(limits["scratch_files"])},
        nothing,
    )
    mounts.attach(scratch, _STAGE + SCRATCH)
    # Only processes, and only one's own: no kernel log, no sysctl, no host facts (proc(5), 5.8).
    proc = mounts.new_filesystem("proc", {"subset": "pid", "hidepid": "invisible"}, nothing)
    mounts.attach(proc, _STAGE + "/proc")
    mounts.change_root(_STAGE)
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    mounts.set_attributes(root, nothing | mounts.RDONLY)
    os.close(root)


def _make_file(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
