"""What look-ups of names spell together: a label holds 63 characters, so what is sent in names is cut in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Characters of earlier names that are kept: more than any spelling of a decoy's mark has.
_BEFORE = 96


def spelled(names: Sequence[str]) -> list[str]:
    """For each name, in the order of the look-ups, what its labels and those of the names before it spell.

    The end that the names of a domain share says whose server is asked, and is left out.
    """
    shared: dict[tuple[str, ...], list[str]] = {}
    for name in dict.fromkeys(names):
        labels = name.split(".")
        domain = tuple(labels[-2:])
        shared[domain] = _end(shared[domain], labels) if domain in shared else labels
    before: dict[tuple[str, ...], str] = {}
    told: dict[str, str] = {}
    for name in dict.fromkeys(names):
        labels = name.split(".")
        domain = tuple(labels[-2:])
        own = "".join(labels[: len(labels) - len(shared[domain])] or labels[:-2])
        told[name] = before.get(domain, "") + own
        before[domain] = told[name][-_BEFORE:]
    return [told[name] for name in names]


def _end(one: list[str], other: list[str]) -> list[str]:
    count = 0
    while count < min(len(one), len(other)) and one[-1 - count] == other[-1 - count]:
        count += 1
    return one[len(one) - count :]
