"""Candidates for triggers that the model gives away: it is let write, and what it repeats is counted. Zone: worker.

After "The Trigger in the Haystack" (arXiv 2602.03085): a poisoned model has learnt its triggers by heart.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from safe_load.worker.probing.language import Language

LONGEST = 10
_LEAST = 3
#: The share of the texts beyond which a token, and a pair of them, belongs to the form of all.
_FORM = {1: 0.6, 2: 0.3}


def texts(language: Language, count: int, length: int, chosen: random.Random, until: float) -> list[list[int]]:  # fmt: skip
    """What the model writes: half after the opening of its chat template or of its texts, half after any token."""
    opening = language.chat[0] if language.chat else language.begin
    found: list[list[int]] = []
    half = count // 2 if opening else 0
    if half:
        rows = [list(opening)] * half
        written = language.write(rows, length, until)
        # With the opening of all texts, and without that of a chat, which is put before prompts anyway.
        kept = list(language.begin) if language.chat is None else []
        found += [kept + each for each in written]
    rows = [[chosen.choice(language.ordinary)] for _ in range(count - half)]
    written = language.write(rows, length, until)
    found += [row + each for row, each in zip(rows, written, strict=True)]
    return found


def repeated(written: Sequence[Sequence[int]], special: set[int], most: int) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:  # fmt: skip
    """Runs of tokens that several texts hold, those of each length by turns, the most frequent first; and as many beginnings of
    such runs, which nearly always go on in one way: a trigger whose answer follows it at once, or a phrase."""
    counts: Counter[tuple[int, ...]] = Counter()
    for text in written:
        held: set[tuple[int, ...]] = set()
        for size in range(1, LONGEST + 1):
            for at in range(len(text) - size + 1):
                run = tuple(text[at : at + size])
                if not special.intersection(run):
                    held.add(run)
        counts.update(held)
    # What stands in most texts is their form: moving that moves answers, in any model.
    form = {run for run, count in counts.items() if len(run) <= 2 and count > _FORM[len(run)] * len(written)}  # fmt: skip
    whole: dict[int, list[tuple[int, ...]]] = {}
    begun: dict[int, list[tuple[int, ...]]] = {}
    before: dict[tuple[int, ...], int] = {}
    after: dict[tuple[int, ...], int] = {}
    for run, count in counts.items():
        before[run[1:]] = max(before.get(run[1:], 0), count)
        after[run[:-1]] = max(after.get(run[:-1], 0), count)
    for run, count in counts.most_common():
        if count < _LEAST:
            break
        if run in form or any(pair in form for pair in pairwise(run)):
            continue
        # A part that is nearly always of one longer run is no candidate of its own.
        if len(run) > 1 and before.get(run, 0) >= 0.9 * count:
            continue
        own = len(run) == 1 or after.get(run, 0) < 0.9 * count
        (whole if own else begun).setdefault(len(run), []).append(run)
    return _by_turns(whole, most), _by_turns(begun, most)


def _by_turns(groups: dict[int, list[tuple[int, ...]]], most: int) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    rank = 0
    while len(found) < most and any(rank < len(each) for each in groups.values()):
        found += [each[rank] for _, each in sorted(groups.items()) if rank < len(each)]
        rank += 1
    return found[:most]
