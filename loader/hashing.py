"""Regular files, opened without following links, and their SHA-256, several at a time.

Zone: controller. OpenSSL releases the interpreter lock while it hashes, so threads help; one file
is hashed by one thread.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_CHUNK = 1 << 20


def open_regular(path: str | os.PathLike[str]) -> int:
    """A descriptor, for reading, on the regular file at `path`.

    Raises OSError, with a sentence, for a link (only the last component is looked at), a folder, a
    device or a pipe, and for what cannot be opened. Never blocks on a pipe.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise type(error)(f"{os.fspath(path)} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{os.fspath(path)} is not a regular file")
    return descriptor


def sha256_files(
    paths: Iterable[Path],
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    deadline: float | None = None,
    identities: Mapping[Path, tuple[int, int]] | None = None,
) -> dict[Path, str]:
    """The SHA-256 of each regular file, in hex, in the order given.

    threads: how many files at a time; one per usable core when None. progress: called with the
    bytes just hashed, by one thread at a time. deadline: of time.monotonic(). identities:
    the device and inode that a file must have. Raises OSError as `open_regular` does, and for another
    file in that place; TimeoutError past the deadline; what `progress` raises ends it too.
    """
    wanted = list(dict.fromkeys(paths))
    meant = identities or {}
    lock = Lock()

    def report(count: int) -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError("hashing took longer than it may")
        if progress is not None:
            with lock:
                progress(count)

    workers = min(threads or len(os.sched_getaffinity(0)), len(wanted)) or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="sha256") as pool:
        try:
            hashed = pool.map(lambda path: _sha256(path, report, meant.get(path)), wanted)
            return dict(zip(wanted, hashed, strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _sha256(path: Path, report: Callable[[int], None], meant: tuple[int, int] | None) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    with open(open_regular(path), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if meant is not None and (status.st_dev, status.st_ino) != meant:
            raise OSError(f"{path} was replaced while it was read")
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            report(count)
    return digest.hexdigest()
