"""A strided view of bytes, checked, and its elements in logical order. Zone: worker.

What a non-contiguous view is copied with: blocks of a few megabytes, each read in the longest runs
that the strides allow and put in order in memory. Little-endian in, or swapped; little-endian out.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.worker.spans import Span

#: Bytes of one block of output.
BLOCK = 4 << 20
#: Bytes that may be read into memory for one block.
WINDOW = 4 * BLOCK

_FORMATS: dict[int, Literal["B", "H", "I", "Q"]] = {1: "B", 2: "H", 4: "I", 8: "Q"}
_FLIP = bytes(byte ^ 0x80 for byte in range(256))
#: Size and stride of one dimension, in elements.
_Dimension = tuple[int, int]


class View:
    """A view whose every element is known to lie in its span.

    offset: bytes into the span; shape and stride in elements of `size` bytes; swap: bytes that are
    to be reversed, 0 for none; flips: see values.Tensor; part: bytes of one number, which is half
    of a complex one.
    """

    __slots__ = ("dims", "direct", "flips", "nbytes", "offset", "part", "size", "span", "swap")

    def __init__(
        self,
        span: Span,
        offset: int,
        shape: tuple[int, ...],
        stride: tuple[int, ...],
        size: int,
        *,
        swap: int = 0,
        flips: tuple[str, ...] = (),
        part: int = 0,
    ) -> None:
        self.span = span
        self.offset = offset
        self.size = size
        self.swap = swap
        self.flips = flips
        self.part = part
        self.nbytes = math.prod(shape) * size
        self.dims = _merged(shape, stride)
        #: True when the bytes of the span are the bytes of the view.
        self.direct = not self.nbytes or (
            not swap and not flips and (not self.dims or self.dims == [(math.prod(shape), 1)])
        )

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The bytes in logical order, a bounded chunk at a time."""
        if self.direct:
            yield from self.span.chunks(self.offset, self.nbytes)
            return
        size, dims = self.size, self.dims
        if size == 16:  # no machine word: two of eight bytes
            size, dims = 8, [(count, step * 2) for count, step in dims] + [(2, 1)]
        dims = dims or [(1, 1)]
        # The outermost dimension of which a part fits in a block, all within it included.
        level, inner = 0, math.prod(count for count, _ in dims) * size
        while True:
            inner //= dims[level][0]
            if inner <= BLOCK or level == len(dims) - 1:
                break
            level += 1
        count, step = dims[level]
        width = max(1, BLOCK // inner)
        for index in itertools.product(*(range(n) for n, _ in dims[:level])):
            base = sum(i * s for i, (_, s) in zip(index, dims, strict=False))
            for start in range(0, count, width):
                block = [(min(width, count - start), step), *dims[level + 1 :]]
                yield self._finished(self._gather(base + start * step, block, size))

    def _gather(self, base: int, dims: list[_Dimension], size: int) -> bytearray:
        """One block: its bytes in logical order. base: elements into the view."""
        total = math.prod(count for count, _ in dims)
        # Dimensions by stride: the first of them make up one run of the source, gaps included, as
        # long as what is read stays within the window; the rest is a loop of such runs.
        order = sorted(range(len(dims)), key=lambda d: dims[d][1])
        extent, covered, inside = 1, 1, 0
        for d in order:
            count, step = dims[d]
            wider = extent + (count - 1) * step
            if wider * (total // (covered * count)) * size > WINDOW:
                break
            extent, covered, inside = wider, covered * count, inside + 1
        steps = [0] * len(dims)
        for d in order[:inside]:
            steps[d] = dims[d][1]
        stride = extent
        for d in order[inside:]:
            steps[d] = stride
            stride *= dims[d][0]
        compact = bytearray(stride * size)
        loops = [dims[d] for d in reversed(order[inside:])]
        for number, index in enumerate(itertools.product(*(range(n) for n, _ in loops))):
            at = base + sum(i * s for i, (_, s) in zip(index, loops, strict=True))
            begin = number * extent * size
            compact[begin : begin + extent * size] = self.span.read(
                self.offset + at * size, extent * size
            )
        return _ordered(
            compact, [(count, step) for (count, _), step in zip(dims, steps, strict=True)], size
        )

    def _finished(self, block: bytearray) -> memoryview:
        if self.swap > 1:
            for low in range(self.swap // 2):
                high = self.swap - 1 - low
                block[low :: self.swap], block[high :: self.swap] = (
                    block[high :: self.swap],
                    block[low :: self.swap],
                )
        for flip in self.flips:
            # The sign is the top bit of a number's last byte; conj turns that of the second one.
            step = self.part if flip == "neg" else 2 * self.part
            block[step - 1 :: step] = block[step - 1 :: step].translate(_FLIP)
        return memoryview(block)


def _merged(shape: tuple[int, ...], stride: tuple[int, ...]) -> list[_Dimension]:
    """The same view with as few dimensions as can be."""
    dims: list[_Dimension] = []
    for count, step in zip(shape, stride, strict=True):
        if count == 1:
            continue
        if dims and dims[-1][1] == count * step:
            dims[-1] = (dims[-1][0] * count, step)
        else:
            dims.append((count, step))
    return dims


def _ordered(source: bytearray, dims: list[_Dimension], size: int) -> bytearray:
    """Elements of `source` in logical order; the longest dimension is copied in one go."""
    if dims == [(len(source) // size, 1)]:
        return source
    total = math.prod(count for count, _ in dims)
    result = bytearray(total * size)
    given, made = memoryview(source).cast(_FORMATS[size]), memoryview(result).cast(_FORMATS[size])
    places: list[tuple[int, int, int]] = []  # count, step in the source, step in the result
    place = 1
    for count, step in reversed(dims):
        places.append((count, step, place))
        place *= count
    longest = max(places, key=lambda p: (p[1] > 0, p[0]))
    places.remove(longest)
    count, step, place = longest
    for index in itertools.product(*(range(n) for n, _, _ in places)):
        begin = sum(i * p[1] for i, p in zip(index, places, strict=True))
        end = sum(i * p[2] for i, p in zip(index, places, strict=True))
        row = given[begin : begin + (count - 1) * step + 1 : step] if step else None
        if row is None:
            row = memoryview(bytes(given[begin : begin + 1]) * count).cast(_FORMATS[size])
        made[end : end + (count - 1) * place + 1 : place] = row
    made.release()
    given.release()
    return result
