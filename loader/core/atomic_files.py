"""Files and folders that appear complete or not at all.

Zone: controller. What is unfinished has a hidden name beside its place, and is locked while the process
that makes it lives (flock goes with the process, however that dies): a hidden name without a lock is
rubbish, and the next process beside it sweeps it away. sandbox/private_folders.py does the same for
folders of rooms, by itself: it runs inside rooms too, where this module is not shown.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

_MARK = ".safe-load-"
_HIDDEN = re.compile(r"\..+" + re.escape(_MARK) + "[0-9a-f]{8}", re.DOTALL)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_UNFINISHED = re.compile(r"\..+\.new-[0-9a-f]{8}", re.DOTALL)


def replace_file(path: Path, data: bytes, *, durable: bool = False, mode: int = 0o600) -> None:
    """Put a file with this content at `path`, in one step.

    mode: its permissions, less what the umask takes away. durable: wait until it is on the disk.
    Raises OSError.
    """
    while True:
        new = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as file:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(descriptor)
                new.replace(path)
                return
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise
            # Swept away before it was locked.
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def sweep_files(folder: Path) -> None:
    """Remove what processes that died while replacing a file left in `folder`."""
    for entry in os.scandir(folder):
        if _UNFINISHED.fullmatch(entry.name):
            with suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    Path(entry.path).unlink()
                finally:
                    os.close(descriptor)


def make_hidden(target: Path) -> tuple[Path, int]:
    """A new hidden folder beside the target, and a descriptor on it that holds its lock."""
    while True:
        path = hidden_beside(target)
        path.mkdir(mode=0o700)
        try:
            descriptor = os.open(path, _FOLDER)
        except FileNotFoundError:  # another process has swept it away already
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between mkdir and flock another process may have taken it for a stale one.
            if os.fstat(descriptor).st_nlink > 0 and path.exists():
                return path, descriptor
        except BlockingIOError:
            os.close(descriptor)
        except BaseException:
            os.close(descriptor)
            remove_tree(path)
            raise
        else:
            os.close(descriptor)


def sweep_folders(folder: Path) -> None:
    """Remove hidden folders in `folder` whose process is dead."""
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if _HIDDEN.fullmatch(entry.name)]
    for path in found:
        # It may vanish meanwhile, or be another user's: neither is ours to care for.
        with suppress(OSError):
            descriptor = os.open(path, _FOLDER)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    # The lock went with the process, however that died (flock(2)).
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_tree(path)
            finally:
                os.close(descriptor)


def hidden_beside(target: Path) -> Path:
    """A new name, beside the target, for what is not to be seen and may be swept away."""
    return target.with_name(f".{target.name}{_MARK}{secrets.token_hex(4)}")


def remove_tree(path: Path) -> None:
    """Remove a folder of ours and all in it, also where it was made read-only, as far as it goes."""
    for folder, _, _ in os.walk(path):
        with suppress(OSError):
            os.chmod(folder, 0o700)  # noqa: PTH101
    shutil.rmtree(path, ignore_errors=True)
