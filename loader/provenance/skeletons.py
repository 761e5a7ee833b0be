"""What a name looks like at a glance.

Zone: controller. A hub takes ASCII names only, so most imitations are of ASCII: a digit for a letter, I for l, rn
for m. Names with other letters (in a configuration, a card, a file of one's own) go through Unicode's table of
confusable characters first (UTS 39, by confusable-homoglyphs).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

SEPARATORS = re.compile(r"[-_. ]+")
_LETTERS = str.maketrans("01345789$|!i", "oleastbgslll")
#: Two letters that look like one.
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_LONGEST = 200  # characters; a hub takes 96


@lru_cache(maxsize=4096)
def skeleton(name: str) -> str:
    """What a name looks like at a glance: names with one skeleton are taken for each other."""
    text = letters(name)
    for pair, letter in _PAIRS:
        text = text.replace(pair, letter)
    return text


@lru_cache(maxsize=4096)
def letters(name: str) -> str:
    """The skeleton letter by letter, without the pairs of letters that look like one."""
    text = unicodedata.normalize("NFKC", name[:_LONGEST])
    if not text.isascii():
        text = "".join(map(_latin, text))
    return SEPARATORS.sub("", text.casefold()).translate(_LETTERS)


def _latin(character: str) -> str:
    """The ASCII letter that a character looks like; itself where it looks like none."""
    if character.isascii():
        return character
    plain = unicodedata.normalize("NFKD", character)[0]  # é is an e with a mark
    if plain.isascii():
        return plain
    from confusable_homoglyphs import confusables  # noqa: PLC0415 - a megabyte, for names that are rare

    found = confusables.is_confusable(character, preferred_aliases=[], greedy=True)
    alike = [each["c"] for entry in found or () for each in entry["homoglyphs"]]
    return next((text for text in alike if len(text) == 1 and text.isascii()), character)
