"""Hostile text made visible: the one function between what a model says and what a reader sees."""

from __future__ import annotations

import re

#: More than a screen of one string tells a reader nothing. The JSON report has all of it.
LIMIT = 2000

# All that is not a printable character in Python's sense (control, format, surrogate, private,
# unassigned, line and paragraph separators, and every space but U+0020: Unicode categories C* and
# Z*) is escaped. Beyond those, Unicode's Default_Ignorable_Code_Point lists characters that count
# as letters or marks but show as nothing, so that two different names would look the same.
_ODD = re.compile(r"[^\x20-\x7e]")
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]"
)
#: What a CI system takes for a command in its log: Azure's and TeamCity's anywhere in a line, GitHub's at
#: the beginning of one, where a long line may be folded.
_COMMAND = re.compile(r"##(?=[\w.-]*\[)|::(?=[A-Za-z])")
_BROKEN = {"##": r"#\x23", "::": r":\x3a"}


def visible(text: str, limit: int = LIMIT) -> str:
    """The text on one line with everything invisible or steering as an escape: \\n, \\x1b, \\u202e.

    Letters of every script stay. Longer than `limit` characters, it is cut and says so. A
    backslash stays as it is, so this is for reading and not for reading back. Commands to a CI system
    (`##vso[`, `::error`) are broken.
    """
    cut = len(text) - limit
    if cut > 0:
        text = text[:limit]
    text = _COMMAND.sub(lambda match: _BROKEN[match[0]], _ODD.sub(_shown, text))
    return f"{text}… ({cut} more characters)" if cut > 0 else text


def _shown(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable() and not _IGNORABLE.match(char):
        return char
    return char.encode("unicode_escape").decode("ascii")
