"""The configuration files of one run: which there are, how each is read, and whether it is believed.

Zone: controller. A file that the user names, or keeps in a configuration folder that is the user's
alone, may set everything. One that is merely found may have come with what is to be judged.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import UsageError
from safe_load.core.ownership import doubt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: What is looked for, from the working folder upward; the first in a folder is read.
FOUND_NAMES = ("safe-load.toml", "pyproject.toml")
_LARGEST = 256 << 10  # bytes
#: The parser takes the square of the dots in one key.
_MOST_DOTS = 200


@dataclass(frozen=True)
class ConfigFile:
    """One file's settings as they stand in it. doubted: why it may only tighten, in a clause; None:
    it may set everything."""

    path: Path
    table: dict[str, Any]
    doubted: str | None = None


def read(
    config: str | None, environ: Mapping[str, str], folder: Path, sources: Sequence[str]
) -> list[ConfigFile]:
    """The files of one run, those that are believed first.

    config: the one that the user names, which is then the only one; "none" for no file at all.
    folder: where the search upward begins. sources: what the run will judge. Raises UsageError for a
    file that cannot be read.
    """
    if config == "none":
        return []
    if config is not None:
        path = Path(config)
        return [ConfigFile(path, _table(path) or {})]
    files = [_own(path, sources) for path in _own_place(environ)]
    found = _found(folder)
    if found is not None and all(found.path != own.path for own in files):
        files.append(found)
    return files


def _own_place(environ: Mapping[str, str]) -> Iterator[Path]:
    """The file in the user's own configuration folder, if there is one."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    if not Path(folder).is_absolute():  # the specification of base directories: to be ignored
        folder = environ.get("HOME", "")
        folder = f"{folder}/.config" if Path(folder).is_absolute() else ""
    if folder and (file := Path(folder, "safe-load", "config.toml")).is_file():
        yield file


def _own(path: Path, sources: Sequence[str]) -> ConfigFile:
    """A home folder may be a checkout, or be written by others: then its file is merely found."""
    try:
        doubted = doubt(path)
    except OSError as error:
        doubted = f"the file cannot be inspected ({error.strerror})"
    place = Path(os.path.realpath(path))
    for source in sources:
        if place.is_relative_to(os.path.realpath(source)):
            doubted = doubted or f"the file lies in the source that is judged ({source})"
    return ConfigFile(path, _table(path) or {}, doubted)


def _found(folder: Path) -> ConfigFile | None:
    """The nearest file from that folder upward. A pyproject.toml without a table of ours ends the
    search too: above it another project begins."""
    folder = folder.resolve()
    for parent in (folder, *folder.parents):
        for name in FOUND_NAMES:
            path = parent / name
            if path.is_file():
                table = _table(path)
                return (
                    None
                    if table is None
                    else ConfigFile(path, table, "the file was found, not named")
                )
    return None


def _table(path: Path) -> dict[str, Any] | None:
    """The settings in a file: [tool.safe-load] of a pyproject.toml, None if it has none; of another
    file that table, or else its top."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UsageError(
            f"{path} is larger than 256 KiB, the limit for a configuration file{_OTHERWISE}"
        )
    if any(line.count(b".") > _MOST_DOTS for line in data.splitlines()):
        raise UsageError(f"{path} has a line of more than {_MOST_DOTS} dots{_OTHERWISE}")
    try:
        content = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    tool = content.get("tool", {})
    table = tool.get("safe-load") if isinstance(tool, dict) else None
    if table is None and path.name != "pyproject.toml":
        table = content
    if table is not None and not isinstance(table, dict):
        raise UsageError(f"{path}: tool.safe-load is not a table")
    return table


_OTHERWISE = ": name another file with --config FILE, or read no file with --config none"
