"""Fake credentials for a room: what is planted, and how to know it again in what was sent.

Zone: controller. The texts are data in profiles/rules/decoys.toml.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from safe_load.profiles import rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from safe_load.core.report import Decoy, Event

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_MARK_LENGTH = 24
_RANDOM = random.SystemRandom()
_COMPANIES = (
    "northwind",
    "bluefin",
    "harborlight",
    "quantal",
    "ostrava-ml",
    "tallgrass",
    "meridian",
)
_LABELS = ("build", "deploy", "research", "ci", "staging", "anna", "jonas", "training", "backup")


@dataclass(frozen=True)
class Decoys:
    """files: path inside -> content; environment: name -> value; marks: mark -> what it stands for."""

    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    """path inside -> what lies there, for people."""

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return {
            spelling: title for mark, title in self.marks.items() for spelling in _spellings(mark)
        }

    def opened(self, events: Iterable[Event]) -> list[Decoy]:
        """Those that a recorded call names."""
        paths = {event.args["path"] for event in events if isinstance(event.args.get("path"), str)}
        from safe_load.core.report import Decoy  # noqa: PLC0415 - a tool is not kept waiting for it

        return [Decoy(path, title) for path, title in self.titles.items() if path in paths]

    def stolen(self, sent: str) -> list[str]:
        """What was planted and is found in `sent`: as it is, in hexadecimal, base64 or base32."""
        found = [title for spelling, title in self._spellings.items() if spelling in sent]
        return list(dict.fromkeys(found))


def plant(names: tuple[str, ...]) -> Decoys:
    """Freshly made decoys of these names (the tables of rules/decoys.toml). Raises KeyError."""
    decoys = Decoys()
    words = {
        "company": _RANDOM.choice(_COMPANIES),
        "label": _RANDOM.choice(_LABELS),
        "key": f"AKIA{_letters(16)}",
    }
    for name in names:
        table = rules("decoys")[name]
        mark = _letters(_MARK_LENGTH)
        decoys.marks[mark] = table["title"]
        some = [*table.get("some", {}).items()]
        chosen = _RANDOM.sample(some, _RANDOM.randint(0, len(some)))
        for path, text in (*table.get("files", {}).items(), *chosen):
            place = path.format(**words)
            decoys.files[place] = text.lstrip("\n").format(mark=mark, **words)
            decoys.titles[place] = table["title"]
        for variable, text in table.get("environment", {}).items():
            decoys.environment[variable] = text.format(mark=mark, **words)
    return decoys


def _letters(count: int) -> str:
    return "".join(_RANDOM.choice(_ALPHABET) for _ in range(count))


def _spellings(mark: str) -> set[str]:
    raw = mark.encode()
    spellings = {mark, mark.lower(), mark[::-1], raw.hex(), raw.hex().upper()}
    for shift in range(3):
        # Of base64, only the characters that hang on the mark alone.
        whole = base64.b64encode(bytes(shift) + raw + bytes(3)).decode()
        first = -(-shift * 8 // 6)
        inner = whole[first : (shift + len(raw)) * 8 // 6]
        spellings |= {inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")}
    for shift in range(5):
        # The same of base32, which names of hosts are written in.
        whole = base64.b32encode(bytes(shift) + raw + bytes(5)).decode()
        inner = whole[-(-shift * 8 // 5) : (shift + len(raw)) * 8 // 5]
        spellings |= {inner, inner.lower()}
    return spellings
