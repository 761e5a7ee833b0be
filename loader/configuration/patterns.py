"""What a regular expression that a tokenizer brings could cost.

Zone: controller. Nothing is matched here. The engine backtracks, and a pattern in which what repeats
repeats within can take a time that doubles with each character. Patterns of real tokenizers are
lists of alternatives with one repetition beside the other, and none within another.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

MAX_LENGTH = 10_000
_MAX_DEPTH = 20
#: Repetitions up to which a bounded one is as good as written out: of one thing, of a group in which
#: there is a choice, and of the same thing beside itself.
_MANY, _MANY_CHOICES, _MOST_ALIKE = 200, 10, 8
_MOST_ENDLESS_ALIKE = 2

_TOKEN = re.compile(
    r"""(?P<class>\[\^?\]?(?:[^\[\]\\]|\\.|\[:\^?\w+:\]|\[(?:[^\[\]\\]|\\.)*\])*\])
    |(?P<refer>\\[1-9kg]|\(\?[(~]|\(\?P[=>]|\(\?[R&\d])
    |(?P<atom>\\[pPxuo]\{[^}]*\}|\\.|[.^$])
    |(?P<options>\(\?[imxsaWDSPuU-]+\))
    |(?P<open>\((?:\?(?:[imxsaWDSPuU-]*:|<?[=!]|>|\#|P?<\w+>|'\w+'))?)
    |(?P<close>\))
    |(?P<repeat>(?:[*+?]|\{\d*,?\d*\})[?+]?)
    |(?P<or>\|)
    |(?P<literal>.)""",
    re.VERBOSE | re.DOTALL,
)
_BOUNDS = re.compile(r"\{(\d{0,9})(,?)(\d{0,9})\}")


@dataclass
class _Group:
    """repeats: whether something in it repeats without end; branches: whether there is more than one
    way to match it; alike: how often each atom repeats in the alternative at hand."""

    begin: int
    repeats: bool = False
    branches: bool = False
    alike: dict[str, int] = field(default_factory=dict)


def danger(pattern: str) -> str | None:
    """Why this pattern is not to be trusted with a long text, or None. Completes "it ..."."""
    if len(pattern) > MAX_LENGTH:
        return f"has more than {MAX_LENGTH:,} characters"
    stack = [_Group(0)]
    last: tuple[str, _Group | None] = ("", None)
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        if kind == "refer":
            return "refers to its own parts"
        if kind == "open":
            stack.append(_Group(token.start()))
            if len(stack) > _MAX_DEPTH:
                return f"is nested deeper than {_MAX_DEPTH} groups"
        elif kind == "close":
            if len(stack) == 1:
                return "closes what it did not open"
            group = stack.pop()
            stack[-1].repeats |= group.repeats
            last = (pattern[group.begin : token.end()], group)
        elif kind == "or":
            stack[-1].branches = True
            stack[-1].alike = {}
        elif kind == "repeat":
            if (reason := _repeated(token[0], last, stack[-1])) is not None:
                return reason
        elif kind != "options":
            last = (token[0], None)
    return "leaves a group open" if len(stack) > 1 else None


def _repeated(quantifier: str, last: tuple[str, _Group | None], group: _Group) -> str | None:
    """Judge one repetition of what came last, within its group."""
    what, inner = last
    most = _most(quantifier)
    endless = most > _MANY
    group.alike[what] = group.alike.get(what, 0) + (
        _MOST_ALIKE // _MOST_ENDLESS_ALIKE if endless else 1
    )
    if group.alike[what] > _MOST_ALIKE:
        return "repeats the same again and again"
    if inner is not None and most > 1 and inner.repeats and (endless or most > _MANY_CHOICES):
        return "repeats what repeats within"
    if inner is not None and inner.branches and (endless or most > _MANY_CHOICES):
        return "repeats a choice again and again"
    group.repeats |= endless
    group.branches |= not quantifier.startswith("{") or "," in quantifier
    return None


def _most(quantifier: str) -> float:
    """How often it may repeat."""
    if quantifier[0] in "*+":
        return math.inf
    bounds = _BOUNDS.match(quantifier)
    if bounds is None:
        return 1
    least, comma, most = bounds.groups()
    return math.inf if comma and not most else int(most or least or 0)
