"""Copy runs of bytes from a model file into its export, and hash the export in the same pass.

Zone: controller. A room says which bytes lie in the file as they are wanted. What it says is hostile,
and means nothing here but offsets into the file that it was shown and the one that it wrote. By
then every process of the room is dead: nobody else writes.
"""

from __future__ import annotations

import os
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Offset in the source, offset in the output, how many bytes.
Run = tuple[int, int, int]

_CHUNK, _CHUNKS = 1 << 20, 4


class BadRunError(ValueError):
    """A run that does not fit its files."""


class Digest(Protocol):
    """What is told every byte of the output, in order, e.g. hashlib.sha256()."""

    def update(self, data: memoryview, /) -> None:
        """The next bytes."""


def copy(
    source: int,
    output: int,
    runs: Sequence[Run],
    digest: Digest | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Copy the runs from `source` to `output`, which has its size already, and tell `digest` every
    byte that the output holds then.

    runs: in the order of the output, without overlap. progress: called with the bytes just done;
    what it raises ends the copy. Raises BadRunError for runs that lie otherwise, EOFError when the
    source ends early, and OSError.
    One thread reads and writes, another hashes the same buffer: 2 GB take as long as their hash.
    """
    parts = _parts(source, output, runs)
    free: SimpleQueue[memoryview] = SimpleQueue()
    full: SimpleQueue[tuple[memoryview, int] | None] = SimpleQueue()
    for _ in range(_CHUNKS):
        free.put(memoryview(bytearray(_CHUNK)))

    def hash_behind() -> None:
        while (item := full.get()) is not None:
            buffer, length = item
            if digest is not None:
                digest.update(buffer[:length])
            free.put(buffer)

    hasher = Thread(target=hash_behind, name="copy-hash")
    hasher.start()
    try:
        for descriptor, start, to, length in parts:
            buffer = free.get()
            _read(descriptor, buffer[:length], start)
            if descriptor == source:
                _write(output, buffer[:length], to)
            full.put((buffer, length))
            if progress is not None:
                progress(length)
    finally:
        full.put(None)
        hasher.join()


def _parts(source: int, output: int, runs: Sequence[Run]) -> Iterator[tuple[int, int, int, int]]:
    """The output from its first byte to its last, a chunk at a time: which file holds it, where,
    where to, how many bytes. Raises BadRunError before the first."""
    readable, size, position = os.fstat(source).st_size, os.fstat(output).st_size, 0
    pieces = []
    for start, to, length in runs:
        if min(start, length) < 0 or start + length > readable:
            raise BadRunError(f"bytes {start} to {start + length} of {readable} are to be copied")
        if to < position or to + length > size:
            raise BadRunError(f"bytes {to} to {to + length} are no free part of {size}")
        pieces += [(output, position, position, to - position), (source, start, to, length)]
        position = to + length
    pieces.append((output, position, position, size - position))
    return (
        (descriptor, start + done, to + done, min(_CHUNK, length - done))
        for descriptor, start, to, length in pieces
        for done in range(0, length, _CHUNK)
    )


def _read(descriptor: int, buffer: memoryview, start: int) -> None:
    while buffer:
        done = os.preadv(descriptor, [buffer], start)
        if done == 0:
            raise EOFError(f"it ends at byte {start}")
        buffer, start = buffer[done:], start + done


def _write(descriptor: int, data: memoryview, to: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, to)
        data, to = data[done:], to + done
