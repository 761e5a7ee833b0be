"""Names of popular packages, and whether another name may be taken for one of them.

Zone: controller. The list is embedded and dated (`dev/popular_packages.py` makes it). A name on it never warns. The comparison is
that of publishers' names, `safe_load.provenance.names`.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.core import typed
from safe_load.provenance.names import imitated
from safe_load.provenance.publishers import Known
from safe_load.register.known import canonical, known

if TYPE_CHECKING:
    from safe_load.provenance.names import Alike

#: Kinds of likeness that count: a usual word more or less makes another honest package ("torch-geometric").
_COUNTS = frozenset({"looks alike", "a letter off", "same words", "claims to be"})
_SHORTEST = 5
#: Names that others imitate; those behind them are only known.
_WATCHED = 3000


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    made: str
    source: str
    pypi: list[str]
    npm: list[str]


@cache
def _file() -> _File:
    return typed.decode(Path(__file__).with_name("popular.json").read_bytes(), _File)


@cache
def _known(ecosystem: str) -> Known:
    file = _file()
    ranked = file.pypi if ecosystem == "pypi" else file.npm
    names = [*ranked[:_WATCHED], *known()[ecosystem]]
    watched = frozenset(name for name in names if len(name) >= _SHORTEST and name[0] != "@")
    every = watched.union(name for name in (*ranked, *names) if name[0] != "@")
    return Known(file.made, every, watched, {})


def made() -> str:
    """The day of the list."""
    return _file().made


@lru_cache(maxsize=4096)
def alike(ecosystem: str, name: str) -> Alike | None:
    """The popular package that this name may be taken for; None for one that is popular itself."""
    if ecosystem == "pypi":
        name = canonical(name)
    if name.startswith("@") or len(name) < _SHORTEST - 1:
        return None
    found = imitated(name, _known(ecosystem))
    return found if found is not None and found.kind in _COUNTS else None
