"""Names that imitate others: by what they look like, by a letter more or less, by a word added to them.

Zone: controller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from safe_load.provenance.skeletons import SEPARATORS, letters, skeleton

if TYPE_CHECKING:
    from safe_load.provenance.publishers import Known

Kind = Literal["looks alike", "same words", "a letter off", "claims to be", "one word more or less"]

#: Characters of a skeleton from which on a name may differ in so many letters.
_ONE_LETTER, _TWO_LETTERS = 6, 10
#: Words that say "the real one", and words that organisations put beside their names.
_CLAIMS = frozenset("official officials real original verified authentic genuine legit".split())
_BESIDE = frozenset(
    "ai hf team hq inc corp org llm llms lab labs model models hub dev release releases the huggingface".split()
)
#: Characters that a name keeps without such a word, to be taken for the same.
_LEAST_REST = 5


@dataclass(frozen=True)
class Alike:
    """name: the publisher on the list that is imitated; kind: how."""

    name: str
    kind: Kind


def imitated(publisher: str, known: Known) -> Alike | None:
    """The publisher on the list that this name may be taken for. None for a name on the list."""
    if known.holds(publisher):
        return None
    mine = skeleton(publisher)
    if same := known.skeletons.get(mine):
        return Alike(same[0], "looks alike")
    words = _words(publisher)
    for name in sorted(known.watched):
        if len(words) > 1 and sorted(words) == sorted(_words(name)):
            return Alike(name, "same words")
    if (near := _near(letters(publisher), known)) is not None:
        return Alike(near, "a letter off")
    return _with_word(publisher, mine, known)


def _words(name: str) -> list[str]:
    return [skeleton(word) for word in SEPARATORS.split(name) if word]


def _near(mine: str, known: Known) -> str | None:
    """The nearest name within the letters that its length allows. Of a short one, only two letters that
    changed places, and a letter more or less of two that are the same: other names of five letters are many."""
    from rapidfuzz.distance import OSA  # noqa: PLC0415 - only who judges a name needs it

    best: tuple[int, str] | None = None
    for name in sorted(known.watched):
        theirs = letters(name)
        shorter = min(len(mine), len(theirs))
        most = 2 if shorter >= _TWO_LETTERS and mine[:1] == theirs[:1] else 1
        distance = OSA.distance(mine, theirs, score_cutoff=most)
        if distance > most or (shorter < _ONE_LETTER and not _slip(mine, theirs)):
            continue
        if best is None or distance < best[0]:
            best = distance, name
    return best[1] if best else None


def _slip(one: str, other: str) -> bool:
    if len(one) < 4 or len(other) < 4:
        return False
    if len(one) == len(other):
        return sorted(one) == sorted(other)
    return re.sub(r"(.)\1+", r"\1", one) == re.sub(r"(.)\1+", r"\1", other)


def _with_word(publisher: str, mine: str, known: Known) -> Alike | None:
    for words, kind in ((_CLAIMS, "claims to be"), (_BESIDE, "one word more or less")):
        for word in sorted(words, key=len, reverse=True):
            for rest in _without(mine, skeleton(word), short=len(_words(publisher)) > 1):
                for name in known.skeletons.get(rest, ()):
                    if name in known.watched:
                        return Alike(name, kind)  # type: ignore[arg-type]
    for name in sorted(known.watched):
        for word in _BESIDE:
            if mine in _without(skeleton(name), skeleton(word), short=False):
                return Alike(name, "one word more or less")
    return None


def _without(name: str, word: str, *, short: bool) -> list[str]:
    """What is left of a name without the word at its end or its beginning. short: also where that is little."""
    rests = [name.removesuffix(word), name.removeprefix(word)]
    least = 4 if short else _LEAST_REST
    return [rest for rest in rests if rest != name and len(rest) >= least]
