"""Write a layout as a safetensors file, and take fingerprints of its tensors. Zone: worker.

Bytes that lie in the model file as they are wanted are copied by the kernel and never pass through
this process. The output descriptor need not be readable.
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

from safe_load.worker import fingerprint
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.sources import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.layout import Entry, Layout

#: The largest header that the controller accepts; the safetensors library reads 100 MB.
MAX_HEADER = 64 << 20
#: What copy_file_range(2) fails with where it is not to be had: across file systems of older
#: kernels, on special ones, and under a filter that does not know it.
_NO_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP}

#: Bytes that lie in a file as they are wanted: its descriptor, where, where to in the output, how many.
Copy = tuple[int, int, int, int]


def header(layout: Layout) -> bytes:
    """The header with its length, padded to a multiple of eight bytes."""
    table: dict[str, object] = {"__metadata__": layout.metadata()}
    for entry in layout.entries:
        table[entry.name] = {
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": (entry.begin, entry.begin + entry.view.nbytes),
        }
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise RefusedError(
            f"its names and shapes take {len(text)} bytes, more than safetensors allows"
        )
    return len(text).to_bytes(8, "little") + text


def write(layout: Layout, output: int, limit: int, budget: int) -> list[Copy]:
    """Write a file to `output`, an empty one, but for the copies that are returned, and set each
    entry's crc32. The file has its final size already.

    limit: bytes that the file may have; budget: bytes to digest of each tensor, 0 for none.
    Raises RefusedError, and OSError when the output cannot be written.
    """
    head = header(layout)
    if len(head) + layout.nbytes > limit:
        raise bomb(
            f"the output would take {len(head) + layout.nbytes} bytes, more than the {limit} allowed"
        )
    os.ftruncate(output, len(head) + layout.nbytes)
    _pwrite(output, head, 0)
    copies: list[Copy] = []
    for entry in layout.entries:
        view, to = entry.view, len(head) + entry.begin
        fd = view.span.source.fd
        if view.direct and fd is not None:
            digest(entry, budget)
            start = view.span.offset + view.offset
            if copies:
                last_fd, last_start, last_to, length = copies[-1]
                if (last_fd, last_start + length, last_to + length) == (fd, start, to):
                    copies[-1] = (fd, last_start, last_to, length + view.nbytes)
                    continue
            copies.append((fd, start, to, view.nbytes))
        else:
            entry.crc32 = _digest(_teed(view.chunks(), output, to), view.nbytes, budget)
    return copies


def digest(entry: Entry, budget: int) -> None:
    """Set the entry's crc32, from the file alone."""
    view = entry.view
    if not view.direct:
        if budget > 0:
            entry.crc32 = _digest(view.chunks(), view.nbytes, budget)
    elif ranges := fingerprint.plan(view.nbytes, budget):
        entry.crc32 = fingerprint.digest(
            chunk
            for offset, length in ranges
            for chunk in view.span.chunks(view.offset + offset, length)
        )


def _digest(chunks: Iterator[bytes | memoryview], nbytes: int, budget: int) -> int | None:
    """The fingerprint of a stream of `nbytes`, all of which is gone through."""
    ranges = fingerprint.plan(nbytes, budget)
    crc = fingerprint.digest(_sampled(chunks, ranges))
    for _ in chunks:
        pass
    return crc if ranges else None


def _sampled(
    chunks: Iterator[bytes | memoryview], ranges: list[tuple[int, int]]
) -> Iterator[memoryview]:
    """The parts of a stream that lie in the ranges."""
    position, number = 0, 0
    for chunk in chunks:
        end = position + len(chunk)
        while number < len(ranges) and ranges[number][0] < end:
            offset, length = ranges[number]
            yield memoryview(chunk)[max(offset - position, 0) : offset + length - position]
            if offset + length > end:
                break
            number += 1
        position = end


def _teed(
    chunks: Iterator[bytes | memoryview], output: int, to: int
) -> Iterator[bytes | memoryview]:
    for chunk in chunks:
        _pwrite(output, chunk, to)
        to += len(chunk)
        yield chunk


def _pwrite(output: int, data: bytes | memoryview, to: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(output, view, to)
        view, to = view[done:], to + done


def copy(fd: int, start: int, to: int, length: int, *, output: int) -> None:
    """Carry out a Copy. Raises RefusedError when the file ends early, OSError when the output cannot
    be written."""
    try:
        while length > 0:
            done = os.copy_file_range(fd, output, length, start, to)
            if done == 0:
                raise RefusedError(f"the file ends at byte {start}, {length} bytes early")
            start, to, length = start + done, to + done, length - done
    except OSError as error:
        if error.errno not in _NO_COPY:
            raise
        _copy_through(fd, start, to, length, output=output)


def _copy_through(fd: int, start: int, to: int, length: int, *, output: int) -> None:
    """The same with a buffer of ours, where the kernel does not do it alone."""
    buffer = memoryview(bytearray(min(length, CHUNK)))
    while length > 0:
        done = os.preadv(fd, [buffer[:length]], start)
        if done == 0:
            raise RefusedError(f"the file ends at byte {start}, {length} bytes early")
        _pwrite(output, buffer[:done], to)
        start, to, length = start + done, to + done, length - done
