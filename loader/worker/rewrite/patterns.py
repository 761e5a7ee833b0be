"""What a regular expression that a tokenizer brings could cost.

Zone: worker. Nothing is matched here. The engine backtracks: where the same characters can be shared out
among several repetitions, the time grows with a power of the text's length, and doubles with each
character where a repetition stands within a repetition; then the library gives up and panics. So a
pattern is read into its parts, and repetitions are compared by what they match, not by how they are
spelled: on a sample of characters, all of ASCII and all that the pattern names among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from safe_load.worker.rewrite.pattern_parts import Part, Reader, Unreadable

MAX_LENGTH = 10_000
#: Parts that are compared, groups that repeat a few times written out.
_MAX_PARTS = 3000
#: From this many ways on, a bounded repetition counts as one without end.
_FEW = 10
#: What may share the same characters in one way to match: repetitions without end, and the weights of
#: others, alone and beside those.
_ENDLESS, _FEW_SHARED, _FEW_BESIDE = 2, 8, 4
_WITHOUT_END = 4
_MANY_WAYS = 32
#: How often a group may repeat in which there is a choice.
_MANY_CHOICES = 10


@dataclass
class _Way:
    """One way through a pattern so far: the repetitions that may still share what they match."""

    chain: list[tuple[int, int]] = field(default_factory=list)  # characters, weight


def danger(pattern: str) -> str | None:
    """Why this pattern is not to be trusted with a long text, or None. Completes "it ..."."""
    if len(pattern) > MAX_LENGTH:
        return f"has more than {MAX_LENGTH:,} characters"
    try:
        alternatives = Reader(pattern).read()
        _Judge().alternatives(alternatives, [_Way()])
    except Unreadable as reason:
        return str(reason)
    return None


class _Judge:
    """Follows every way through a pattern, and looks at what may share the same characters."""

    def __init__(self) -> None:
        self._parts = 0

    def alternatives(self, found: list[list[Part]], ways: list[_Way]) -> list[_Way]:
        """The ways after one of several lists of parts. Raises Unreadable with what is dangerous."""
        after: list[_Way] = []
        for parts in found:
            reached = ways
            for part in parts:
                reached = self._part(part, reached)
            after += reached
        return _few(after)

    def _part(self, part: Part, ways: list[_Way]) -> list[_Way]:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise Unreadable("has too many parts")
        if part.look:
            if part.inner is not None:
                self.alternatives(part.inner, [_Way()])
            return ways
        if part.inner is None:
            return [self._single(part, way) for way in ways]
        if part.most == 1:
            after = self.alternatives(part.inner, ways)
            return after if part.least else _few(ways + after)
        return self._group(part, ways)

    def _group(self, part: Part, ways: list[_Way]) -> list[_Way]:
        """A group that repeats."""
        assert part.inner is not None  # noqa: S101 - the caller looked
        many = part.most > _MANY_CHOICES
        if many and any(map(_repeats, part.inner)):
            raise Unreadable("nests a repetition in a repetition")
        if many and (len(part.inner) > 1 or any(map(_varies, part.inner))):
            raise Unreadable("repeats a choice between several ways to match")
        if many:
            self.alternatives(part.inner, [_Way()])
            return [self._single(part, way) for way in ways]
        for _ in range(int(part.most)):
            ways = _few(ways + self.alternatives(part.inner, ways))
        return ways

    def _single(self, part: Part, way: _Way) -> _Way:
        """What repeats by itself, or stands once."""
        if part.least == part.most:
            # What stands in between and is of another kind keeps them apart.
            apart = all(not chars & part.chars for chars, _ in way.chain)
            return _Way() if apart and part.least else way
        choices = part.most - part.least
        weight = _WITHOUT_END if choices >= _FEW else 2 if choices > 1 else 1
        sharing = [*_sharing(way.chain, part.chars), (part.chars, weight)]
        endless = sum(1 for _, each in sharing if each == _WITHOUT_END)
        few = sum(each for _, each in sharing if each != _WITHOUT_END)
        if endless > _ENDLESS or few > (_FEW_SHARED if not endless else _FEW_BESIDE):
            raise Unreadable("repeats the same characters in several places")
        return _Way([*way.chain, (part.chars, weight)])


def _sharing(chain: list[tuple[int, int]], chars: int) -> list[tuple[int, int]]:
    """Those of the chain that share characters with these, or with one that does."""
    left = list(chain)
    found: list[tuple[int, int]] = []
    while True:
        joined = [each for each in left if each[0] & chars]
        if not joined:
            return found
        found += joined
        left = [each for each in left if not each[0] & chars]
        for each, _ in joined:
            chars |= each


def _few(ways: list[_Way]) -> list[_Way]:
    """The ways, each once; where there are many, as if one were taken after the other: more than there is."""
    different = list({tuple(way.chain): way for way in ways}.values())
    if len(different) <= _MANY_WAYS:
        return different
    return [_Way([each for way in different for each in way.chain])]


def _repeats(parts: list[Part]) -> bool:
    """Whether something in it repeats without end."""
    return any(
        (part.most >= _FEW and part.most > part.least)
        or (part.inner is not None and not part.look and any(map(_repeats, part.inner)))
        for part in parts
    )


def _varies(parts: list[Part]) -> bool:
    """Whether there is more than one way through it."""
    return any(
        part.most != part.least
        or (
            part.inner is not None
            and not part.look
            and (len(part.inner) > 1 or any(map(_varies, part.inner)))
        )
        for part in parts
    )
