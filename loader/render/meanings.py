"""What each kind of finding means, and what to do about it: docs/findings.md, as reports carry it along."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
from safe_load.core import typed


class Meaning(msgspec.Struct, frozen=True):
    """One section of docs/findings.md. Each text is plain Markdown without links, a paragraph a line."""

    title: str
    severity: str
    meaning: str
    example: str
    advice: str
    maps: str


@cache
def meanings() -> dict[str, Meaning]:
    """id -> what the finding means; made by dev/findings_help.py."""
    data = (Path(__file__).parent / "findings.json").read_bytes()
    return typed.decode(data, dict[str, Meaning])
