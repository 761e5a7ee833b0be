"""Command lines as words: quotes, variables of the same file, continued lines. Bounded."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_WORDS = 2000
LONGEST_LINE = 20_000
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")


def split(text: str) -> list[str]:
    """Words as a shell has them; by spaces where the quotes do not match."""
    text = text[:LONGEST_LINE]
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";|&")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        return list(lexer)[:MOST_WORDS]
    except ValueError:
        return [word.strip("'\"") for word in text.split()][:MOST_WORDS]


def expand(word: str, variables: Mapping[str, str]) -> str:
    """The word with variables of the same file, and defaults, in their place."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[3]
        return variables.get(name, match[2] if match[2] is not None else match[0])

    return _VARIABLE.sub(value, word)[:LONGEST_LINE] if "$" in word else word


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) with continued lines joined."""
    held, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        start = start if held else number
        stripped = line.rstrip()
        if held and stripped.lstrip().startswith("#"):
            continue
        if stripped.endswith("\\") and len(held) < LONGEST_LINE:
            held += f"{stripped[:-1]} "
            continue
        yield start, held + stripped
        held = ""
    if held:
        yield start, held
