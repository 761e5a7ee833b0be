"""Which shards of a folder hold a model together: those of an index, or a complete set without one.

Zone: controller. An index is JSON, bounded; shards are only looked at by their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.sources.weight_names import CANONICAL, SHARD
from safe_load.worker.strict_json import Malformed, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_MAX_INDEX = 64 << 20
#: The base of a file's name and its extension: "model", "safetensors".
Kind = tuple[str, str]


@dataclass(frozen=True)
class Promise:
    """What an index says of the shards that were taken. index: its path; names: of the tensors; stale:
    whether it names other files, so that nothing but these names ties it to the shards."""

    index: str
    names: frozenset[str]
    stale: bool


@dataclass
class Shards:
    """The shards of one folder. names: of those that are whole sets; trouble: why a set is none, by
    what its files are called, and whether an index stands for it, so that stock code would fail there;
    notes, leaves, promises: as in the inventory."""

    names: set[str] = field(default_factory=set)
    trouble: dict[Kind, tuple[str, bool]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)
    promises: dict[Kind, Promise] = field(default_factory=dict)


def find(
    source: str,
    prefix: str,
    names: Iterable[str],
    files: Mapping[str, tuple[Path, int, object]],
    variant: str | None,
) -> Shards:
    """The shards among the files of one folder. prefix: the folder, with its slash; files: the real
    file, the size and more of each path below the source; variant: the word in the names that count."""
    found = Shards()
    sets = _sets(names)
    for base in CANONICAL:
        for extension in ("safetensors", "bin"):
            named = f"{base}.{variant}" if variant else base
            whole, partial = _divided(sets.get((named, extension), {}))
            word = f".{variant}" if variant else ""
            index = f"{base}.{extension}.index{word}.json"
            if f"{prefix}{index}" in files:
                _indexed(found, (base, extension), source, f"{prefix}{index}", files, whole)
            elif len(whole) == 1:
                found.names.update(*whole.values())
                found.notes.append(
                    f"{visible(prefix + named)}: its {len(*whole.values())} shards have no index; "
                    "the cleared copy has one"
                )
            elif whole or partial:
                found.trouble[base, extension] = (_unclear(source, prefix, whole, partial), False)
    return found


def _sets(names: Iterable[str]) -> dict[Kind, dict[int, dict[int, str]]]:
    """Base and extension -> count of shards -> number -> name."""
    sets: dict[Kind, dict[int, dict[int, str]]] = {}
    for name in names:
        if match := SHARD.fullmatch(name):
            kind = match[1], name.rpartition(".")[2]
            sets.setdefault(kind, {}).setdefault(int(match[3]), {})[int(match[2])] = name
    return sets


def _divided(
    sets: dict[int, dict[int, str]],
) -> tuple[dict[int, list[str]], dict[int, dict[int, str]]]:
    """The sets of which every number from 1 is there, and the others."""
    whole = {
        count: [shards[number] for number in sorted(shards)]
        for count, shards in sets.items()
        if len(shards) == count and min(shards) == 1 and max(shards) == count
    }
    return whole, {count: shards for count, shards in sets.items() if count not in whole}


def _indexed(
    found: Shards,
    kind: Kind,
    source: str,
    index: str,
    files: Mapping[str, tuple[Path, int, object]],
    whole: dict[int, list[str]],
) -> None:
    try:
        table = _read_table(source, index, *files[index][:2])
    except NotLoadable as error:
        found.trouble[kind] = (str(error), True)
        return
    prefix = index.rpartition("/")[0] + "/" if "/" in index else ""
    missing = []
    present = set()
    for shard in sorted(set(table.values())):
        if "/" in shard or "\\" in shard or shard in ("", ".", ".."):
            found.leaves.append(f"{index}: {shard}")
        elif prefix + shard in files:
            present.add(shard)
        else:
            missing.append(shard)
    found.promises[kind] = Promise(index, frozenset(table), stale=bool(missing))
    if not missing:
        found.names |= present
    elif len(whole) == 1:
        (shards,) = whole.values()
        found.names.update(shards)
        found.notes.append(
            f"{visible(index)} names the shard {visible(missing[0])}, which is missing; the "
            f"{len(shards)} shards {visible(shards[0])} and following are a whole set and were taken"
        )
    else:
        found.trouble[kind] = (
            f"{source}/{visible(index)} names the shard {visible(missing[0])}, which is missing",
            True,
        )


def _unclear(
    source: str, prefix: str, whole: dict[int, list[str]], partial: dict[int, dict[int, str]]
) -> str:
    if whole:
        sets = " and ".join(f"{visible(prefix + shards[0])}" for shards in whole.values())
        return f"{source} holds several sets of shards and no index that says which: {sets}"
    count, shards = next(iter(partial.items()))
    number, name = next(iter(shards.items()))
    # Of a set of thousands, looking for the first gap ends within the names that are there.
    gap = next((n for n in range(1, len(shards) + 2) if n not in shards and n <= count), None)
    if gap is None:
        return f"{source} holds {visible(prefix + name)}, and the numbers of its shards do not fit"
    lacking = name.replace(f"-{number:05}-of-", f"-{gap:05}-of-")
    return f"{source} holds {visible(prefix + name)}; the shard {visible(lacking)} is missing"


def read_index(source: str, name: str, place: Path, size: int) -> set[str]:
    """The files that an index names. Raises NotLoadable when it is none."""
    return set(_read_table(source, name, place, size).values())


def _read_table(source: str, name: str, place: Path, size: int) -> dict[str, str]:
    shown = f"{source}/{visible(name)}"
    if size > _MAX_INDEX:
        raise NotLoadable(f"{shown} is larger than {_MAX_INDEX >> 20} MiB")
    try:
        index = parse(place.read_bytes(), where=shown, max_bytes=_MAX_INDEX)
    except Malformed as error:
        raise NotLoadable(str(error)) from error
    table = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(table, dict) or not all(isinstance(shard, str) for shard in table.values()):
        raise NotLoadable(f"{shown} has no weight_map from tensor names to files")
    return table
