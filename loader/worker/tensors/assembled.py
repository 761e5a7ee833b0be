"""One tensor out of boxes that lie in several files, as its bytes in logical order. Zone: worker.

What a tensor that was saved in shards is read with. Nothing is put together in memory: a read goes
to the boxes that hold its bytes, and where these are long runs of a file, `pieces` says so.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.spans import Span

#: Boxes of one tensor, and pairs of a box and a row of boxes that are gone through to place them.
MAX_BOXES = 16_384
MAX_STEPS = 4_000_000
#: Bytes that a piece has on average before the controller is asked to copy it.
LEAST_PIECE = 64 << 10


@dataclass(frozen=True)
class Box:
    """A part of a tensor. offsets, shape: in elements; span: its bytes in logical order."""

    offsets: tuple[int, ...]
    shape: tuple[int, ...]
    span: Span


#: Where a box begins and ends in its row, in bytes.
_Segment = tuple[int, int, Box]


class Assembled(Source):
    """The bytes of a tensor in logical order. Its boxes cover every element once.

    The tensor is seen as rows: along the last dimension that a box cuts, one row for each index of the
    dimensions before it.
    """

    __slots__ = ("_cuts", "_dim", "_outer", "_row_size", "_rows", "_shape")

    def __init__(self, shape: tuple[int, ...], width: int, boxes: list[Box]) -> None:
        """width: bytes of an element; boxes: none of them empty. Raises RefusedError for boxes that
        overlap, leave a hole, or lie outside of the shape."""
        super().__init__(math.prod(shape) * width)
        if len(boxes) > MAX_BOXES:
            raise bomb(f"a tensor lies in {len(boxes)} parts, more than {MAX_BOXES}")
        for box in boxes:
            _check(box, shape, width)
        cut = [d for d in range(len(shape)) if any(box.shape[d] != shape[d] for box in boxes)]
        self._shape = shape
        self._dim = max(cut, default=0)
        inner = math.prod(shape[self._dim + 1 :]) * width
        self._row_size = (shape[self._dim] if shape else 1) * inner
        self._outer = shape[: self._dim]
        #: Of each outer dimension, where boxes begin or end.
        self._cuts = [
            sorted(
                {box.offsets[d] for box in boxes}
                | {box.offsets[d] + box.shape[d] for box in boxes}
                | {0, size}
            )
            for d, size in enumerate(self._outer)
        ]
        if math.prod(len(cuts) for cuts in self._cuts) * len(boxes) > MAX_STEPS:
            raise bomb("a tensor lies in more parts than can be put together")
        self._rows: dict[tuple[int, ...], list[_Segment]] = {}
        for cell in itertools.product(*(cuts[:-1] for cuts in self._cuts)):
            self._rows[self._cell(cell)] = self._row(cell, boxes, inner)

    def _cell(self, index: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(bisect_right(cuts, at) for cuts, at in zip(self._cuts, index, strict=True))

    def _row(self, index: tuple[int, ...], boxes: list[Box], inner: int) -> list[_Segment]:
        """The boxes of a row, in order. Raises RefusedError unless they make it up."""
        dim = self._dim
        held = [
            box
            for box in boxes
            if all(
                begin <= at < begin + size
                for begin, size, at in zip(box.offsets, box.shape, index, strict=False)
            )
        ]
        row, end = [], 0
        for begin, box in sorted(
            ((box.offsets[dim] if box.shape else 0, box) for box in held), key=lambda each: each[0]
        ):
            if begin * inner != end:
                break
            end += (box.shape[dim] if box.shape else 1) * inner
            row.append((begin * inner, end, box))
        if end != self._row_size or len(row) != len(held):
            raise RefusedError("the parts of a tensor overlap or leave a hole")
        return row

    def _segments(self, offset: int, length: int) -> Iterator[tuple[Box, int, int]]:
        """Which box holds the next bytes, from which of its own on, and how many."""
        end = offset + length
        while offset < end:
            number, within = divmod(offset, self._row_size)
            index = []
            for size in reversed(self._outer):
                number, at = divmod(number, size)
                index.append(at)
            place = tuple(reversed(index))
            row = self._rows[self._cell(place)]
            first = bisect_right(row, within, key=lambda each: each[0]) - 1
            for begin, stop, box in row[first:]:
                if offset >= end:
                    break
                number = 0
                for at, start, size in zip(place, box.offsets, box.shape, strict=False):
                    number = number * size + at - start
                done = min(stop - within, end - offset)
                yield box, number * (stop - begin) + within - begin, done
                offset, within = offset + done, within + done

    def read(self, offset: int, length: int) -> bytes:
        return b"".join(
            part
            for box, start, count in self._segments(offset, length)
            for part in box.span.chunks(start, count)
        )

    def buffer(self) -> bytes:
        return self.read(0, self.size)

    def pieces(self, offset: int, length: int) -> list[tuple[Source, int, int]] | None:
        boxes = {id(box): box for row in self._rows.values() for _, _, box in row}.values()
        count = sum(math.prod(box.shape[: self._dim]) for box in boxes)
        if any(box.span.source.fd is None for box in boxes):
            return None
        if count > max(len(boxes), self.size // LEAST_PIECE):
            return None
        return [
            (box.span.source, box.span.offset + start, done)
            for box, start, done in self._segments(offset, length)
        ]


def _check(box: Box, shape: tuple[int, ...], width: int) -> None:
    fits = len(box.offsets) == len(box.shape) == len(shape) and all(
        at >= 0 and count > 0 and at + count <= size
        for at, count, size in zip(box.offsets, box.shape, shape, strict=True)
    )
    if not fits:
        raise RefusedError(
            f"a part of shape {list(box.shape)} at {list(box.offsets)} lies outside of its tensor of shape {list(shape)}"
        )
    if box.span.length < math.prod(box.shape) * width:
        raise RefusedError("a part of a tensor holds fewer bytes than its shape says")
