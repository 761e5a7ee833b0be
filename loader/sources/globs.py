"""Patterns of paths, as .gitignore writes them: which files a user means.

Zone: controller. A pattern is compiled to one regular expression without nested repetition of the same
text, so that no name makes it slow.
"""

from __future__ import annotations

import re
from functools import lru_cache

from safe_load.core.errors import UsageError

_LONGEST = 500
_MOST_STARS = 20


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """The expression for one pattern, to be matched against the whole of a relative path.

    `*` and `?` stand for anything but a slash, `**` for any number of folders, `[abc]` for one of these
    characters. A pattern without a slash, but for one at its end, is matched at any depth; a pattern
    that names a folder matches all that lies below it. Raises UsageError.
    """
    text = pattern.strip("/")
    if not text or len(text) > _LONGEST or text.count("*") > _MOST_STARS:
        raise UsageError(
            f"the pattern {pattern[:80]!r} is empty, longer than {_LONGEST} characters, or has more than "
            f"{_MOST_STARS} stars"
        )
    anywhere = "/" not in text and not pattern.startswith("/")
    parts = ["(?:[^/]+/)*"] if anywhere else []
    names = text.split("/")
    for number, name in enumerate(names):
        last = number == len(names) - 1
        if name == "**":
            parts.append(".*" if last else "(?:[^/]+/)*")
        else:
            parts.append(_name(name) + ("" if last else "/"))
    return re.compile("".join(parts) + "(?:/.*)?", re.DOTALL)


def _name(name: str) -> str:
    made = ""
    rest = re.sub(r"\*+", "*", name)
    while rest:
        char, rest = rest[0], rest[1:]
        end = rest.find("]", 2 if rest[:1] in ("!", "^") else 1)
        if char == "*":
            made += "[^/]*"
        elif char == "?":
            made += "[^/]"
        elif char == "[" and end > 0:
            chars, rest = rest[:end], rest[end + 1 :]
            negated = chars[0] in "!^"
            listed = re.sub(r"([\\\[\]^&~|])", r"\\\1", chars[negated:])
            made += f"[^/{listed}]" if negated else f"[{listed}]"
        else:
            made += re.escape(char)
    try:
        re.compile(made)
    except re.error:
        return re.escape(name)
    return made


def first(patterns: tuple[str, ...], path: str) -> str | None:
    """The first of the patterns that a relative path matches, None if none does."""
    return next((each for each in patterns if compiled(each).fullmatch(path)), None)
