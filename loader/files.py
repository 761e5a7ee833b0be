"""Small files, written so that nobody ever sees half of one. Zone: controller."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

_UNFINISHED = re.compile(r"\..+\.new-[0-9a-f]{8}", re.DOTALL)


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Put a file with this content at `path`, in one step; only its owner can read it. durable: and
    wait until it is on the disk. Raises OSError."""
    while True:
        new = path.with_name(f".{path.name}.new-{secrets.token_hex(4)}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
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
