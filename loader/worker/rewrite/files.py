"""One file of a model's folder, as the modules here are given it.

Zone: worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Refused(Exception):
    """The model's own configuration cannot be read. One sentence, which may hold hostile text."""


class Readable(Protocol):
    """A file, or a member of an archive. name: its path; size: bytes."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def read(self) -> bytes:
        """Its content."""


@dataclass(frozen=True)
class File:
    """name: relative to the model's folder, with slashes; place: where its content is; size: bytes."""

    name: str
    place: str
    size: int

    def read(self) -> bytes:
        """Its content. Raises OSError."""
        return Path(self.place).read_bytes()
