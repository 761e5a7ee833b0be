"""GGML's files of before GGUF: a magic, sizes, a vocabulary and tensors, in an order that each program has for itself.
Zone: worker.

Known are whisper.cpp (models/convert-pt-to-ggml.py), llama.cpp's three versions (convert-llama-ggml-to-gguf.py), its
adapters, and the examples of ggml that begin as GPT-2 does. Which of them a file is, it does not say: the order is the
one in which the tensors end where the file does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.worker.formats.cursor import Cursor
from safe_load.worker.formats.interface import Content, Format
from safe_load.worker.refusal import RefusedError
from safe_load.worker.spans import Span
from safe_load.worker.tensors import places

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import File, Reading

MAX_WORDS = 400_000
MAX_WORD = 4096
MAX_TENSORS = 20_000
_ALIGN = 32
_PLAIN = {0: "float32", 1: "float16"}
#: Type -> numbers and bytes of a block: since scales are of 16 bits (ggjt 3, ggml's quantisation version 2), and before.
_BLOCKS = {
    2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210),
}  # fmt: skip
_OLD_BLOCKS = {2: (32, 20), 3: (32, 24), 6: (32, 22), 7: (32, 24), 8: (32, 36)}


@dataclass(frozen=True)
class _Order:
    """What lies before the tensors. sizes: numbers of four bytes behind magic and version; words: "first" where
    the first of them is their count, "own" where it stands before them, "" for none; score: whether a number
    follows each; filters: whether whisper's filters come before them."""

    sizes: int
    words: str = ""
    score: bool = False
    filters: bool = False
    aligned: bool = False


_PLAIN_ORDERS = (
    _Order(11, "own", filters=True),
    *(_Order(sizes, "first") for sizes in (7, 6, 8, 5, 9)),
    *(_Order(sizes, "own") for sizes in (6, 7, 8, 5, 9)),
    *(_Order(sizes, "first", score=True) for sizes in (7, 8)),
)
#: Magic -> whether a version follows, and the orders.
_ORDERS: dict[bytes, tuple[bool, tuple[_Order, ...]]] = {
    b"lmgg": (False, _PLAIN_ORDERS),
    b"fmgg": (True, tuple(_Order(sizes, "first", score=True) for sizes in (7, 8))),
    b"tjgg": (True, tuple(_Order(sizes, "first", score=True, aligned=True) for sizes in (7, 8))),
    b"algg": (True, (_Order(2, aligned=True),)),
}


class Ggml(Format):
    """One model, or one adapter."""

    name, called, loader = "ggml", "a GGML model", "whisper.cpp or llama.cpp"
    weights = "all; quantised ones as their packed blocks"
    foreign = True

    def recognise(self, file: File) -> bool:
        """By its magic, and by sizes that sizes of a model are."""
        head = file.head
        if head[:4] not in _ORDERS or len(head) < 36:
            return False
        numbers = [int.from_bytes(head[at : at + 4], "little") for at in range(4, 36, 4)]
        return all(number < 1 << 24 for number in numbers[:3]) and any(numbers)

    def read(self, file: File, reading: Reading) -> Content:
        """Data, if its tensors end where it does in one of the known orders."""
        versioned, orders = _ORDERS[file.head[:4]]
        for order in orders:
            try:
                begin = _before_tensors(Cursor(file, 8 if versioned else 4), order)
            except RefusedError:
                continue
            for blocks in (_BLOCKS, _OLD_BLOCKS):
                try:
                    named, packed = _tensors(Cursor(file, begin), order, blocks)
                except RefusedError:
                    continue
                if packed:
                    reading.notes.append(
                        f"{packed} quantised tensors are written as their packed blocks"
                    )
                return places.content(named, self.name, reading, why="sizes, words and tensors")
        raise RefusedError(
            "it begins as a model of GGML, and its tensors do not end where it does in any order that is known here"
        )


def _before_tensors(cursor: Cursor, order: _Order) -> int:
    """Where the tensors begin."""
    first = cursor.number(4)
    cursor.skip(4 * (order.sizes - 1))
    if order.filters:
        rows, columns = cursor.number(4), cursor.number(4)
        cursor.skip(4 * rows * columns)
    if order.words:
        count = first if order.words == "first" else cursor.number(4)
        if not 0 < count <= MAX_WORDS:
            raise RefusedError("its words are too many")
        for _ in range(count):
            length = cursor.number(4)
            if length > MAX_WORD:
                raise RefusedError("a word is too long")
            cursor.skip(length + (4 if order.score else 0))
    return cursor.position


def _tensors(
    cursor: Cursor, order: _Order, blocks: dict[int, tuple[int, int]]
) -> tuple[places.Named, int]:
    """The tensors up to the end of the file, and how many of them are quantised."""
    named: places.Named = {}
    packed = 0
    while not cursor.done:
        rank, length, kind = cursor.number(4), cursor.number(4), cursor.number(4)
        if not 0 < rank <= 4 or not 0 < length <= 512 or len(named) >= MAX_TENSORS:
            raise RefusedError("there is no tensor")
        shape = tuple(cursor.number(4) for _ in range(rank))[::-1]
        try:
            name = cursor.take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise RefusedError("a name is no text") from None
        if order.aligned:
            cursor.skip(-cursor.position % _ALIGN)
        dtype = _PLAIN.get(kind)
        if dtype is None:
            if kind not in blocks or shape[-1] % blocks[kind][0]:
                raise RefusedError("a type is unknown")
            numbers, size = blocks[kind]
            dtype, shape = "uint8", (*shape[:-1], shape[-1] // numbers * size)
            packed += 1
        if math.prod(shape) >= 1 << 48:
            raise RefusedError("a shape is too large")
        nbytes = places.nbytes(dtype, shape)
        span = cursor.file.span
        place = Span(span.source, span.offset + cursor.position, nbytes)
        cursor.skip(nbytes)
        places.add(named, name, places.tensor(dtype, shape, place))
    if not named:
        raise RefusedError("there is no tensor")
    return named, packed
