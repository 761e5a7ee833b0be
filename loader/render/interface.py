"""What a report format is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Report


@dataclass(frozen=True)
class View:
    """What the reader's screen can show. Only formats for a terminal look at it.

    width: columns. brief: one line for each source. verbose: all that the report says. root: the folder that
    paths are told from in reports for code scanning: the root of the checkout; "": as they were given.
    findings_url: where docs/findings.md can be read, for links to its sections; "": nowhere that is known.
    """

    width: int = 80
    color: bool = False
    brief: bool = False
    verbose: bool = False
    root: str = ""
    findings_url: str = ""


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
