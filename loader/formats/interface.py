"""What a report format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.report import Report


@dataclass(frozen=True)
class View:
    """What the reader's screen can show. Only formats for a terminal look at it.

    width: columns. brief: one line for each source.
    """

    width: int = 80
    color: bool = False
    brief: bool = False


class Format(ABC):
    """Turns reports into one document. What it returns is complete, and safe where it is read."""

    name: ClassVar[str]

    def __init__(self, view: View | None = None) -> None:
        self.view = view or View()

    @abstractmethod
    def render(self, reports: Sequence[Report]) -> bytes:
        """The document, in UTF-8, with a final newline.

        Accepts any report that the schema allows, none at all included: no text in it, however
        hostile, raises or escapes into the markup.
        """
