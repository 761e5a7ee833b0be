"""What a gateway's store gives and takes: a model, a cleared file, and how a model ended. Zone: controller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

State = Literal["queued", "running", "cleared", "rejected", "failed"]
STATES: tuple[State, ...] = ("queued", "running", "cleared", "rejected", "failed")


class RecordsError(OSError):
    """The records cannot be read or written: a full or broken disk, a database that is away."""


class Row(Protocol):
    """A row of the database: its values by place and by name."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def keys(self) -> Iterable[str]:
        """The names, in the order of the values."""


@dataclass(frozen=True)
class Model:
    """One commit of one repository under one policy, as schema.sql describes its columns."""

    id: int
    repo: str
    commit_id: str
    policy: str
    state: State
    stage: str | None
    verdict: str | None
    sentence: str | None
    content: str | None
    cleared_as: str | None
    report: str | None
    asked_by: str
    asked: float
    started: float | None
    ended: float | None
    attempts: int
    again: float | None
    until: str | None
    owner: int | None = None


@dataclass(frozen=True)
class File:
    """One file of a cleared folder. size: bytes; sha256: in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Judged:
    """How a model ended. key: of the same bytes under the same policy, None where it shall not be used for others.
    findings: (id, SHA-256 of the file, severity, title, location, whether an exception covers it)."""

    state: State
    verdict: str
    sentence: str
    report: str | None = None
    key: str | None = None
    content: str | None = None
    cleared_as: str | None = None
    files: Sequence[File] = ()
    findings: Sequence[tuple[str, str, str, str, str, bool]] = ()
    again: float | None = None
    until: str | None = None
