"""The parts of a configuration file that hold for some files only: exceptions, and settings by path.

Zone: controller. A file that is merely found may hold no exception, and of its settings by path those count
that tighten (`settings`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import UsageError
from safe_load.core.exceptions import Accepted
from safe_load.sources import globs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from safe_load.cli.config_files import ConfigFile
    from safe_load.core.options import Options

#: The tables of a file that are no settings.
TABLES = ("exceptions", "paths")
#: The settings that may differ by path.
BY_PATH = ("fail-on", "depth", "timeout", "memory", "require-pin", "require-publisher")
_EXCEPTION = ("finding", "sha256", "reason", "until")


@dataclass(frozen=True)
class PathRule:
    """Settings for the sources whose path matches. values: by name of the setting, as it parsed; origin: the
    file that says so."""

    match: str
    values: Mapping[str, Any]
    origin: str

    def covers(self, source: str) -> bool:
        """Whether it is about this source. Paths are relative to the working folder."""
        if "://" in source:
            return globs.compiled(self.match).fullmatch(source) is not None
        path = os.path.relpath(os.path.realpath(source), os.path.realpath("."))
        return globs.compiled(self.match).fullmatch(path) is not None


def exceptions(file: ConfigFile) -> tuple[Accepted, ...]:
    """The exceptions of a file. Raises UsageError, which names the file, the number and the key."""
    found = []
    for number, table in _tables(file, "exceptions"):
        where = f"{file.path}: exceptions[{number}]"
        _require_keys(where, table, _EXCEPTION)
        missing = [key for key in _EXCEPTION if key not in table]
        if missing:
            raise UsageError(f"{where} lacks {', '.join(missing)}")
        try:
            found.append(Accepted(**table, origin=str(file.path)))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
    return tuple(found)


def path_rules(file: ConfigFile) -> list[tuple[str, str, dict[str, Any]]]:
    """The settings by path of a file: where each stands, what it matches, its keys as they stand. Raises
    UsageError."""
    found = []
    for number, table in _tables(file, "paths"):
        where = f"{file.path}: paths[{number}]"
        _require_keys(where, table, ("match", *BY_PATH))
        match = table.get("match")
        if not isinstance(match, str):
            raise UsageError(f"{where}: match: {match!r} is not a pattern, e.g. 'vendor/**'")
        try:
            globs.compiled(match)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        found.append((where, match, {key: table[key] for key in table if key != "match"}))
    return found


def options_for(source: str, options: Options, rules: Iterable[PathRule]) -> Options:
    """The options of one source: those of the run, changed by each rule that covers it, in order."""
    for rule in rules:
        if rule.covers(source):
            changed = {key.replace("-", "_"): value for key, value in rule.values.items()}
            origins = dict(options.origins) | dict.fromkeys(
                changed, f"{rule.origin} ({rule.match})"
            )
            options = replace(options, **changed).set_at(origins)
    return options


def _tables(file: ConfigFile, name: str) -> list[tuple[int, dict[str, Any]]]:
    tables = file.table.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{file.path}: {name} is not a list of tables: write [[{name}]]")
    return list(enumerate(tables, 1))


def _require_keys(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in known:
            raise UsageError(
                f"{where} has the unknown key {key!r}; the keys are {', '.join(known)}"
            )
