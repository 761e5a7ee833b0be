"""The publishers that are known: an embedded, dated list (`dev/publishers.py` makes it), and the user's own.

Zone: controller. A name on the list is one that others may imitate. It says nothing about what its owner publishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.core import typed
from safe_load.provenance.skeletons import skeleton

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_FILE = Path(__file__).with_name("publishers.json")
#: Models that a publisher must have in transformers' files for its name to be one that others imitate by a letter.
_LEAST_MODELS = 2


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    made: str
    source: str
    documented: dict[str, list[str]]
    organisations: list[str]
    others: list[str]


@dataclass(frozen=True)
class Known:
    """made: the day of the list; names: all publishers on it; watched: those whose names are compared letter by
    letter; models: publisher -> its models on the list."""

    made: str
    names: frozenset[str]
    watched: frozenset[str]
    models: Mapping[str, frozenset[str]]

    def holds(self, publisher: str) -> bool:
        """Whether it is on the list. A hub tells no two publishers apart by case."""
        return publisher.casefold() in self._folded

    def owners(self, model: str) -> list[str]:
        """The publishers on the list that have a model of that name, compared by its skeleton."""
        return sorted(self._owners.get(skeleton(model), ()))

    @cached_property
    def skeletons(self) -> dict[str, list[str]]:
        """Skeleton -> the publishers that have it."""
        found: dict[str, list[str]] = {}
        for name in sorted(self.names):
            found.setdefault(skeleton(name), []).append(name)
        return found

    @cached_property
    def _folded(self) -> frozenset[str]:
        return frozenset(name.casefold() for name in self.names)

    @cached_property
    def _owners(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for publisher, models in self.models.items():
            for model in models:
                found.setdefault(skeleton(model), set()).add(publisher)
        return found


def known(added: Iterable[str] = ()) -> Known:
    """The list, with what a user adds: names of publishers, or of models as ORG/NAME."""
    return _known(tuple(added))


@cache
def _known(added: tuple[str, ...]) -> Known:
    file = typed.decode(_FILE.read_bytes(), _File)
    models = {name: frozenset(listed) for name, listed in file.documented.items()}
    often = {name for name, listed in file.documented.items() if len(listed) >= _LEAST_MODELS}
    mine = set()
    for name in added:
        publisher, _, model = name.partition("/")
        mine.add(publisher)
        if model:
            models[publisher] = models.get(publisher, frozenset()) | {model}
    names = file.documented.keys() | {*file.organisations, *file.others} | mine
    # A name with a digit is a letter away from too many that are honest.
    watched = {
        name for name in often | {*file.organisations} if not any(map(str.isdigit, name))
    } | mine
    return Known(file.made, frozenset(names), frozenset(watched), models)
