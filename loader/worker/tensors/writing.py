"""Write a layout as a safetensors file, and take fingerprints of its tensors. Zone: worker.

Bytes that lie in the model file as they are wanted never pass through this process: the controller
is told where they are, and copies them. The output descriptor need not be readable.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.tensors import fingerprints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.spans import Source
    from safe_load.worker.tensors.layout import Entry, Layout
    from safe_load.worker.tensors.views import View

#: The largest header that the controller accepts; the safetensors library reads 100 MB.
MAX_HEADER = 64 << 20
#: Bytes that lie in a file as they are wanted: in which one (see spans.Source.number), where, where to in
#: the output, how many.
Run = tuple[int, int, int, int]
#: Of file systems that share blocks between files, and the least that is shared (export/copying.py).
_BLOCK, _LEAST_SHARED = 4096, 1 << 20
#: What the controller accepts of one file.
MAX_RUNS = 1_000_000


def header(layout: Layout) -> bytes:
    """The header with its length, padded to a multiple of `layout.align` bytes. Where the largest tensor
    lies in the file as it is wanted, the padding also lets it begin as far into a block of the disk as
    it does there, so that a file system may share the blocks of the two files."""
    table: dict[str, object] = {"__metadata__": layout.metadata()}
    for entry in layout.entries:
        table[entry.name] = {
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": (entry.begin, entry.begin + entry.view.nbytes),
        }
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % layout.align)
    text += b" " * _shift(layout, len(text) + 8)
    if len(text) > MAX_HEADER:
        raise RefusedError(
            f"the names and shapes take {len(text)} bytes, more than safetensors allows"
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
        if view.direct and (pieces := _pieces(view, MAX_RUNS - len(runs))) is not None:
            digest(entry, budget)
            for source, start, length in pieces:
                if start + length > source.size:
                    raise RefusedError(f"it ends at byte {source.size}, in the middle of a tensor")
                _add(runs, (source.number, start, to, length))
                to += length
        else:
            _digest(entry, _teed(view.chunks(), output, to), budget)
    return runs


def _shift(layout: Layout, length: int) -> int:
    """Bytes after a header of that length, a multiple of `layout.align`."""
    largest = max(layout.entries, key=lambda entry: entry.view.nbytes, default=None)
    if largest is None or largest.view.nbytes < _LEAST_SHARED or not largest.view.direct:
        return 0
    pieces = _pieces(largest.view, MAX_RUNS)
    shift = (pieces[0][1] - length - largest.begin) % _BLOCK if pieces else 0
    return 0 if shift % layout.align else shift


def _pieces(view: View, most: int) -> list[tuple[Source, int, int]] | None:
    """Where the controller finds the bytes of a view; None where they are written here."""
    if not view.nbytes:
        return []
    pieces = view.span.source.pieces(view.span.offset + view.offset, view.nbytes)
    return None if pieces is not None and len(pieces) > most else pieces


def _add(runs: list[Run], run: Run) -> None:
    """One more run, joined with the last one where both lie one behind the other in both files."""
    if runs:
        number, start, to, length = runs[-1]
        if (number, start + length, to + length) == run[:3]:
            runs[-1] = (number, start, to, length + run[3])
            return
    runs.append(run)


def digest(entry: Entry, budget: int) -> None:
    """Set the entry's crc32, from the file alone."""
    view = entry.view
    if view.span.source.computed:
        return
    if not view.direct:
        if budget > 0:
            _digest(entry, view.chunks(), budget)
    elif ranges := fingerprints.plan(view.nbytes, budget):
        _note(
            entry,
            (
                chunk
                for offset, length in ranges
                for chunk in view.span.chunks(view.offset + offset, length)
            ),
        )


def _note(entry: Entry, chunks: Iterator[bytes | memoryview]) -> None:
    """Set the fingerprint from the chunks that the budget allows. A chunk is good only until the next one comes."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
    entry.crc32 = fingerprints.digest([data])
    entry.sample = fingerprints.sample(data, entry.dtype)


def _digest(entry: Entry, chunks: Iterator[bytes | memoryview], budget: int) -> None:
    """Set the fingerprint of a stream of the entry's bytes, all of which is gone through."""
    ranges = fingerprints.plan(entry.view.nbytes, budget)
    if ranges:
        _note(entry, _sampled(chunks, ranges))
    for _ in chunks:
        pass


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
