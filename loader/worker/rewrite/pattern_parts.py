"""A regular expression that a tokenizer brings, read into its parts.

Zone: worker. Nothing is matched here. What a part matches is a set of sample characters: all of ASCII, some
of every kind beyond it, and all that the pattern names.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_MAX_DEPTH = 20
_ESCAPES = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "f": "\f",
    "v": "\v",
    "a": "\a",
    "e": "\x1b",
    "0": "\0",
}
_FOLDS = re.compile(r"\(\?[a-zA-Z-]{0,10}i")
_UPPER = ((1 << 26) - 1) << ord("A")
_ANCHORS = "bBAzZGKy"
#: Characters that stand for all that are not named: of each general category, and of several scripts.
_SAMPLE = (
    "".join(map(chr, range(128)))
    + "\x85\xa0ªµ²¼ÀßéǅʰΩжאعकกあア一漢한\u0300\u0903\u20dd٣Ⅷ①‿—«»“”¡€+©\u2028\u2029\u2003\u200b\ue000\ufffe😀𐍈"
)


class Unreadable(Exception):
    """Why it is no pattern that can be judged. Completes "it ..."."""


@dataclass
class Part:
    """What one thing may match: chars, a set of sample characters as bits; least, most: how often.

    inner: the alternatives of a group, each a list of parts; None for a single character. look: it
    matches a place and no text.
    """

    chars: int
    least: int = 1
    most: float = 1
    inner: list[list[Part]] | None = None
    look: bool = False


class Reader:
    """Reads a pattern into parts, in one pass."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        #: Each character that the pattern may tell apart, with its bit.
        self._sample = "".join(dict.fromkeys(_SAMPLE + pattern[:2000]))
        self._all = (1 << len(self._sample)) - 1
        self._folds = _FOLDS.search(pattern) is not None

    def read(self) -> list[list[Part]]:
        alternatives = self._alternatives(0)
        if self._at < len(self._text):
            raise Unreadable("closes a group that is not open")
        return alternatives

    def _alternatives(self, depth: int) -> list[list[Part]]:
        if depth > _MAX_DEPTH:
            raise Unreadable(f"is nested deeper than {_MAX_DEPTH} groups")
        found: list[list[Part]] = [[]]
        while self._at < len(self._text) and self._text[self._at] != ")":
            if self._text[self._at] == "|":
                self._at += 1
                found.append([])
                continue
            part = self._part(depth)
            if part is not None:
                found[-1].append(self._repeated(part))
        return found

    def _part(self, depth: int) -> Part | None:
        char = self._text[self._at]
        if char == "(":
            return self._group(depth)
        if char == "[":
            return Part(self._folded(self._class()))
        self._at += 1
        if char == "\\":
            return self._escape()
        if char in "^$":
            return Part(0, look=True)
        if char == ".":
            return Part(self._all)
        if char in "*+?":
            raise Unreadable("repeats nothing")
        return Part(self._folded(self._bit(char)))

    def _group(self, depth: int) -> Part | None:
        """A group; None for options, which are for all that follows."""
        text, begin = self._text, self._at
        look = False
        for opening in ("(?<=", "(?<!", "(?=", "(?!", "(?:", "(?>"):
            if text.startswith(opening, begin):
                self._at += len(opening)
                look = opening[-1] in "=!"
                break
        else:
            self._at += 1
            if text.startswith("?", self._at) and not self._options():
                return None
        inner = self._alternatives(depth + 1)
        if self._at >= len(text):
            raise Unreadable("leaves a group open")
        self._at += 1
        chars = 0
        for parts in inner:
            for part in parts:
                chars |= 0 if part.look else part.chars
        return Part(chars, inner=inner, look=look)

    def _options(self) -> bool:
        """What stands after "(?": a name or options that a group begins with (True), or options alone (False)."""
        end = self._at + 1
        while end < len(self._text) and (self._text[end].isalnum() or self._text[end] in "-_<P'"):
            end += 1
        word = self._text[self._at + 1 : end]
        closing = self._text[end : end + 1]
        named = word.startswith(("<", "P<", "'"))
        if closing == ")" and word and not named and word.replace("-", "").isalpha():
            if "R" in word:
                raise Unreadable("uses a backreference or recursion")
            self._at = end + 1
            return False
        if (closing == ":" and word.replace("-", "").isalpha()) or (closing == ">" and named):
            self._at = end + 1
            return True
        raise Unreadable("uses recursion, or opens a group of an unknown kind")

    def _repeated(self, part: Part) -> Part:
        """The part with the repetition that follows it; one more within a group of its own."""
        while self._at < len(self._text):
            bounds = self._bounds()
            if bounds is None:
                break
            if part.most != 1 or part.least != 1:
                part = Part(part.chars, inner=[[part]], look=part.look)
            part.least, part.most = bounds
            # A "?" or "+" behind makes it lazy or possessive; neither is relied on.
            if self._text[self._at : self._at + 1] in ("?", "+"):
                self._at += 1
        return part

    def _bounds(self) -> tuple[int, float] | None:
        char = self._text[self._at]
        simple = {"*": (0, math.inf), "+": (1, math.inf), "?": (0, 1.0)}.get(char)
        if simple is not None:
            self._at += 1
            return simple
        if char != "{":
            return None
        end = self._text.find("}", self._at, self._at + 24)
        least, comma, most = self._text[self._at + 1 : max(end, self._at + 1)].partition(",")
        if (
            end < 0
            or not (least or most)
            or not all(not x or (x.isascii() and x.isdigit()) for x in (least, most))
        ):
            return None  # a brace that stands for itself
        self._at = end + 1
        low = int(least or 0)
        high = math.inf if comma and not most else float(most or least)
        return low, max(high, low)

    def _bit(self, char: str) -> int:
        place = self._sample.find(char)
        # Beyond what is sampled, a character may be any of those that are no ASCII.
        return 1 << place if place >= 0 else self._all & ~((1 << 128) - 1)

    def _folded(self, chars: int) -> int:
        """Both cases of a letter, where a part of the pattern takes one for the other."""
        if not self._folds:
            return chars
        return chars | (chars & _UPPER) << 32 | (chars & _UPPER << 32) >> 32

    def _escape(self) -> Part:
        if self._at >= len(self._text):
            raise Unreadable("ends within an escape")
        char = self._text[self._at]
        if char in "123456789kg":
            raise Unreadable("uses a backreference or recursion")
        if char in _ANCHORS:
            self._at += 1
            return Part(0, look=True)
        return Part(self._folded(self._escaped()))

    def _escaped(self) -> int:
        """What an escape matches, here or in a class; after it."""
        char = self._text[self._at : self._at + 1]
        self._at += 1
        if not char:
            raise Unreadable("ends within an escape")
        kind = {"d": "d", "s": "s", "w": "w", "h": "h"}.get(char.lower())
        if kind is not None:
            chars = self._matching(kind)
            return self._all & ~chars if char.isupper() else chars
        if char in "pP":
            return self._property(negated=char == "P")
        if char in "xuo":
            return self._code(char)
        if char in "RX":
            return self._matching("s") if char == "R" else self._all
        return self._bit(_ESCAPES.get(char, char))

    def _property(self, *, negated: bool) -> int:
        if self._text[self._at : self._at + 1] == "{":
            end = self._text.find("}", self._at, self._at + 60)
            if end < 0:
                raise Unreadable("leaves the name of a property open")
            name, self._at = self._text[self._at + 1 : end], end + 1
        else:
            name, self._at = self._text[self._at : self._at + 1], self._at + 1
        negated ^= name.startswith("^")
        known = self._matching(name.lstrip("^").lower().replace("_", "").replace(" ", ""))
        if known < 0:  # a script, perhaps: any of its letters may be in it, and any may not
            return self._all if negated else self._all & ~((1 << 128) - 1) | self._matching("l")
        return self._all & ~known if negated else known

    def _code(self, char: str) -> int:
        text = self._text
        if text[self._at : self._at + 1] == "{":
            end = text.find("}", self._at, self._at + 12)
            digits, self._at = text[self._at + 1 : max(end, self._at + 1)], max(end, self._at) + 1
        else:
            length = 4 if char == "u" else 2
            digits, self._at = text[self._at : self._at + length], self._at + length
        try:
            return self._bit(chr(int(digits, 8 if char == "o" else 16)))
        except (ValueError, OverflowError):
            raise Unreadable("holds the code of no character") from None

    def _matching(self, name: str) -> int:
        return _of_kind(name, self._sample)

    def _class(self, depth: int = 0) -> int:
        """A class in brackets; what its brackets hold in turn is part of it."""
        if depth > _MAX_DEPTH:
            raise Unreadable(f"is nested deeper than {_MAX_DEPTH} classes")
        text = self._text
        self._at += 1
        negated = text.startswith("^", self._at)
        self._at += negated
        chars, whole, first = 0, self._all, True
        while True:
            if self._at >= len(text):
                raise Unreadable("leaves a class open")
            char = text[self._at]
            if char == "]" and not first:
                break
            first = False
            if text.startswith("&&", self._at):
                self._at += 2
                whole, chars = whole & chars, 0
            elif (
                text.startswith("[:", self._at)
                and (end := text.find(":]", self._at, self._at + 20)) > 0
            ):
                name = text[self._at + 2 : end]
                known = self._matching(name.lstrip("^"))
                chars |= (
                    self._all if known < 0 else self._all & ~known if name[0:1] == "^" else known
                )
                self._at = end + 2
            elif char == "[":
                chars |= self._class(depth + 1)
            else:
                chars |= self._range()
        self._at += 1
        chars &= whole
        return self._all & ~chars if negated else chars

    def _range(self) -> int:
        """One character of a class, or all from one to another."""
        text = self._text
        low, begin = self._member()
        if text[self._at : self._at + 1] != "-" or text[self._at + 1 : self._at + 2] in (
            "]",
            "[",
            "",
        ):
            return low
        if begin is None:
            return low
        self._at += 1
        high, end = self._member()
        if end is None:
            return low | high
        chars = low | high
        for place, char in enumerate(self._sample):
            if begin <= char <= end:
                chars |= 1 << place
        return chars

    def _member(self) -> tuple[int, str | None]:
        """What one character of a class matches, and the character, where it is one."""
        char = self._text[self._at]
        self._at += 1
        if char != "\\":
            return self._bit(char), char
        chars = self._escaped()
        return chars, self._sample[chars.bit_length() - 1] if chars.bit_count() == 1 else None


@lru_cache(4096)
def _of_kind(name: str, sample: str) -> int:
    """The sample's characters of a class or property of this name, as bits; -1 for one not known."""
    short = {"alpha": "l", "letter": "l", "digit": "d", "number": "n", "punct": "punct", "space": "s",
             "punctuation": "p", "symbol": "s*", "mark": "m", "separator": "z", "other": "c",
             "word": "w", "xdigit": "h", "upper": "lu", "lower": "ll", "uppercaseletter": "lu",
             "lowercaseletter": "ll", "whitespace": "s", "cntrl": "c", "alphabetic": "l"}.get(name, name)  # fmt: skip
    chars = 0
    for place, char in enumerate(sample):
        chars |= _is_of(short, char) << place
    known = short in (
        "d",
        "s",
        "w",
        "h",
        "punct",
        "s*",
        "any",
        "ascii",
        "alnum",
        "l",
        "m",
        "n",
        "p",
        "z",
        "c",
    )
    categories = {unicodedata.category(each).lower() for each in sample}
    return chars if known or short in categories else -1


def _is_of(kind: str, char: str) -> bool:
    category = unicodedata.category(char).lower()
    match kind:
        case "d":
            return category == "nd"
        case "s":
            return char.isspace()
        case "w" | "alnum":
            return char.isalnum() or char == "_" or category[0] == "m"
        case "h":
            return char in "0123456789abcdefABCDEF"
        case "punct":
            return category[0] in "ps"
        case "s*":
            return category[0] == "s"
        case "any":
            return True
        case "ascii":
            return char < "\x80"
    return category.startswith(kind)
