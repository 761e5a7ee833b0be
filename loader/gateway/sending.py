"""The files that are being sent: how many there may be, and how much of each is read ahead.

Zone: controller. Each takes a descriptor, and holds what its client has not taken yet.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes that are read of one file at a time: the most, the least, and of all files together.
_CHUNK, _SMALLEST, _TOGETHER = 1 << 20, 16 << 10, 64 << 20


class Sending:
    """The files of one gateway. most: at a time."""

    def __init__(self, most: int = 4096) -> None:
        self.most = most
        self._now = 0

    def full(self) -> bool:
        """Whether no other file can be sent at present."""
        return self._now >= self.most

    @contextmanager
    def one(self) -> Iterator[None]:
        """One more, for as long as the block lasts."""
        self._now += 1
        try:
            yield
        finally:
            self._now -= 1

    @property
    def chunk(self) -> int:
        """How much of a file is to be read next."""
        return max(_SMALLEST, min(_CHUNK, _TOGETHER // max(1, self._now)))
