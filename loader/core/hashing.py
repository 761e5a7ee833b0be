"""Regular files, opened without following links, and their digests, several at a time.

Zone: controller. A source is named by its SHA-256, as hubs and signatures name it; a cleared copy is
checked by BLAKE3 (https://github.com/BLAKE3-team/BLAKE3-specs), which takes a quarter of the time. Both
release the interpreter lock while they hash, so threads help; one file is hashed by one thread.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Literal, Protocol

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

Algorithm = Literal["blake3", "sha256"]

_CHUNK = 1 << 20


class Hash(Protocol):
    """One running digest."""

    def update(self, data: memoryview, /) -> object:
        """The next bytes."""

    def hexdigest(self) -> str:
        """Of all bytes so far, in hex."""


_MAKE: dict[Algorithm, Callable[[], Hash]] = {"blake3": blake3, "sha256": hashlib.sha256}


class Hashes:
    """Several digests of the same bytes. algorithms: their names."""

    def __init__(self, algorithms: Iterable[Algorithm]) -> None:
        self._running = {name: _MAKE[name]() for name in algorithms}

    def update(self, data: memoryview, /) -> None:
        """The next bytes."""
        for digest in self._running.values():
            digest.update(data)

    def hex(self) -> dict[Algorithm, str]:
        """Name -> digest of all bytes so far, in hex."""
        return {name: digest.hexdigest() for name, digest in self._running.items()}


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
    found = hash_files(dict.fromkeys(paths, ("sha256",)), threads, progress, deadline, identities)
    return {path: digests["sha256"] for path, digests in found.items()}


def hash_files(
    wanted: Mapping[Path, Iterable[Algorithm]],
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    deadline: float | None = None,
    identities: Mapping[Path, tuple[int, int]] | None = None,
) -> dict[Path, dict[Algorithm, str]]:
    """The digests of each regular file, as `sha256_files` says it. wanted: file -> which digests."""
    expected = identities or {}
    lock = Lock()

    def report(count: int) -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError("hashing exceeded the time limit")
        if progress is not None:
            with lock:
                progress(count)

    workers = min(threads or len(os.sched_getaffinity(0)), len(wanted)) or 1
    with ThreadPoolExecutor(workers, thread_name_prefix="hash") as pool:
        try:
            hashed = pool.map(
                lambda path: _hash(path, wanted[path], report, expected.get(path)), wanted
            )
            return dict(zip(wanted, hashed, strict=True))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _hash(
    path: Path,
    algorithms: Iterable[Algorithm],
    report: Callable[[int], None],
    expected: tuple[int, int] | None,
) -> dict[Algorithm, str]:
    digest = Hashes(algorithms)
    buffer = memoryview(bytearray(_CHUNK))
    with open(open_regular(path), "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if expected is not None and (status.st_dev, status.st_ino) != expected:
            raise OSError(f"{path} was replaced while it was read")
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            report(count)
    return digest.hex()
