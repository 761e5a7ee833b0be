"""Copy runs of bytes from model files into their export, and hash the export in the same pass.

Zone: controller. A room says which bytes lie in the file as they are wanted. What it says is hostile,
and means nothing here but offsets into the file that it was shown and the one that it wrote. By
then every process of the room is dead: nobody else writes.

Where the file system shares blocks between files (reflinks), the whole blocks of a run are shared and
not copied; the worker writes headers whose length makes runs of large tensors fit (tensors/writing.py).
They are hashed as the output has them.
"""

from __future__ import annotations

import os
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Protocol

from safe_load.sandbox.kernel import reflink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Which of the sources, offset in it, offset in the output, how many bytes.
Run = tuple[int, int, int, int]

_CHUNK, _CHUNKS = 1 << 20, 4
#: Shorter runs are copied: a call to share them takes about as long.
_LEAST_SHARED = 1 << 20


class BadRunError(ValueError):
    """A run that does not fit its files."""


class Digest(Protocol):
    """What is told every byte of the output, in order, e.g. hashing.Hashes."""

    def update(self, data: memoryview, /) -> None:
        """The next bytes."""


def copy(
    sources: Sequence[int],
    output: int,
    runs: Sequence[Run],
    digest: Digest | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Copy the runs from the files of `sources` to `output`, which has its size already, and tell `digest` every
    byte that the output holds then.

    runs: in the order of the output, without overlap. progress: called with the bytes just done;
    what it raises ends the copy. Raises BadRunError for runs that lie otherwise, EOFError when a
    source ends early, and OSError.
    One thread reads and writes, another hashes the same buffer: 2 GB take as long as their hash.
    """
    parts = _parts(sources, output, runs)
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
            if descriptor != output:
                _write(output, buffer[:length], to)
            full.put((buffer, length))
            if progress is not None:
                progress(length)
    finally:
        full.put(None)
        hasher.join()


def _parts(
    sources: Sequence[int], output: int, runs: Sequence[Run]
) -> Iterator[tuple[int, int, int, int]]:
    """The output from its first byte to its last, a chunk at a time: which file holds it, where,
    where to, how many bytes. Raises BadRunError before the first."""
    readable = [os.fstat(source).st_size for source in sources]
    size, position = os.fstat(output).st_size, 0
    pieces: list[tuple[int, int, int, int]] = []
    shared = _Shared(output)
    for number, start, to, length in runs:
        if not 0 <= number < len(sources):
            raise BadRunError(f"the copy asks for file {number} of {len(sources)}")
        if min(start, length) < 0 or start + length > readable[number]:
            raise BadRunError(
                f"the copy asks for bytes {start} to {start + length} of {readable[number]}"
            )
        if to < position or to + length > size:
            raise BadRunError(
                f"bytes {to} to {to + length} are taken, or lie outside of the {size} bytes of the output"
            )
        pieces.append((output, position, position, to - position))
        pieces += shared.pieces(sources[number], start, to, length)
        position = to + length
    pieces.append((output, position, position, size - position))
    return (
        (descriptor, start + done, to + done, min(_CHUNK, length - done))
        for descriptor, start, to, length in pieces
        for done in range(0, length, _CHUNK)
    )


class _Shared:
    """The blocks of an output that are also a source's."""

    def __init__(self, output: int) -> None:
        self._output = output
        self._can = True  # until the file system has said no

    def pieces(
        self, source: int, start: int, to: int, length: int
    ) -> list[tuple[int, int, int, int]]:
        """One run as pieces, like those of `_parts`: what is shared now lies in the output already."""
        whole = [(source, start, to, length)]
        before = -start % reflink.BLOCK
        blocks = (length - before) // reflink.BLOCK * reflink.BLOCK
        if not self._can or blocks < _LEAST_SHARED or (start - to) % reflink.BLOCK:
            return whole
        self._can = reflink.share(source, start + before, self._output, to + before, blocks)
        if not self._can:
            return whole
        return [
            (source, start, to, before),
            (self._output, to + before, to + before, blocks),
            (source, start + before + blocks, to + before + blocks, length - before - blocks),
        ]


def _read(descriptor: int, buffer: memoryview, start: int) -> None:
    while buffer:
        done = os.preadv(descriptor, [buffer], start)
        if done == 0:
            raise EOFError(f"the file ends at byte {start}")
        buffer, start = buffer[done:], start + done


def _write(descriptor: int, data: memoryview, to: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, to)
        data, to = data[done:], to + done
