"""Write a layout as a safetensors file, and take fingerprints of its tensors. Zone: worker.

Bytes that lie in the model file as they are wanted never pass through this process: the controller
is told where they are, and copies them. The output descriptor need not be readable.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from safe_load.worker import fingerprint
from safe_load.worker.refusal import RefusedError, bomb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.layout import Entry, Layout

#: The largest header that the controller accepts; the safetensors library reads 100 MB.
MAX_HEADER = 64 << 20
#: Bytes that lie in the file as they are wanted: where, where to in the output, how many.
Run = tuple[int, int, int]


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


def write(layout: Layout, output: int, limit: int, budget: int) -> list[Run]:
    """Write a file to `output`, an empty one, but for the runs that are returned, in the order of the
    output, and set each entry's crc32. The file has its final size already.

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
    runs: list[Run] = []
    for entry in layout.entries:
        view, to = entry.view, len(head) + entry.begin
        if view.direct and view.span.source.fd is not None:
            digest(entry, budget)
            start = view.span.offset + view.offset
            if not view.nbytes:
                continue
            if start + view.nbytes > view.span.source.size:
                raise RefusedError(
                    f"it ends at byte {view.span.source.size}, in the middle of a tensor"
                )
            if runs:
                last_start, last_to, length = runs[-1]
                if (last_start + length, last_to + length) == (start, to):
                    runs[-1] = (last_start, last_to, length + view.nbytes)
                    continue
            runs.append((start, to, view.nbytes))
        else:
            entry.crc32 = _digest(_teed(view.chunks(), output, to), view.nbytes, budget)
    return runs


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
