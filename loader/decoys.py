"""Fake credentials for a room: what is planted, and how to know it again in what was sent.

Zone: controller. The texts are data in profiles/rules/decoys.toml.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import quote

from safe_load.profiles import rules

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_MARK_LENGTH = 24


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

    def stolen(self, sent: str) -> list[str]:
        """What was planted and is found in `sent`: as it is, in hexadecimal or in base64."""
        found = [title for spelling, title in self._spellings.items() if spelling in sent]
        return list(dict.fromkeys(found))


def plant(names: tuple[str, ...]) -> Decoys:
    """Freshly made decoys of these names (the tables of rules/decoys.toml). Raises KeyError."""
    decoys = Decoys()
    for name in names:
        table = rules("decoys")[name]
        mark = "".join(secrets.choice(_ALPHABET) for _ in range(_MARK_LENGTH))
        decoys.marks[mark] = table["title"]
        for path, text in table.get("files", {}).items():
            decoys.files[path] = text.lstrip("\n").format(mark=mark)
            decoys.titles[path] = table["title"]
        for variable, text in table.get("environment", {}).items():
            decoys.environment[variable] = text.format(mark=mark)
    return decoys


def _spellings(mark: str) -> set[str]:
    raw = mark.encode()
    spellings = {mark, mark.lower(), mark[::-1], raw.hex(), raw.hex().upper()}
    for shift in range(3):
        # Of base64, only the characters that hang on the mark alone.
        whole = base64.b64encode(bytes(shift) + raw + bytes(3)).decode()
        first = -(-shift * 8 // 6)
        inner = whole[first : (shift + len(raw)) * 8 // 6]
        spellings |= {inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")}
    return spellings
