"""What each finding means and what to do about it, taken out of docs/findings.md for reports to carry along.

    python -m dev.findings_help > loader/render/findings.json

Zone: neither; runs on a developer's machine.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

PAGE = Path(__file__).resolve().parents[1] / "docs" / "findings.md"
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def sections(page: str) -> dict[str, dict[str, str]]:
    """id -> title, meaning, example, advice and maps, each as plain Markdown on its own lines."""
    parts = re.split(r"^## (SL\w+)\n", page, flags=re.MULTILINE)
    found = {}
    for ident, text in zip(parts[1::2], parts[2::2], strict=True):
        title, _, body = text.strip().partition("\n")
        named = re.fullmatch(r"\*\*(.+)\*\* · (.+)", title)
        if named is None or named[2] == "not judged yet":
            continue
        body, _, maps = body.partition("Maps to: ")
        meaning, _, advice = body.partition("**What to do.**")
        example = " ".join(line[2:] for line in meaning.splitlines() if line.startswith("> "))
        meaning = "\n".join(line for line in meaning.splitlines() if not line.startswith(">"))
        found[ident] = {
            "title": named[1],
            "severity": named[2],
            "meaning": _flowing(meaning),
            "example": example,
            "advice": _flowing(advice),
            "maps": " ".join(maps.split()),
        }
    return found


def _flowing(text: str) -> str:
    """Paragraphs and list items, each on one line; links are their text, for they lead nowhere from a report."""
    blocks = re.split(r"\n\s*\n|\n(?=- )", _LINK.sub(r"\1", text.strip()))
    return "\n".join(" ".join(block.split()) for block in blocks if block.strip())


def text() -> bytes:
    """The file's content."""
    found = sections(PAGE.read_text("utf-8"))
    return msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(text())
