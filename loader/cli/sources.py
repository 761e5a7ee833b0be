"""What `safe-load scan` opens: its arguments, each tree among them taken apart into its models.

Zone: controller.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.report import LeftAlone
from safe_load.sources import globs, hub, tree
from safe_load.sources.tree import Part, Tree, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.sources.changes import Checkout

_MOST_PATHS = 20
BESIDE = "beside the models: judged, and nothing spoke against it"
IGNORED = "ignored by git"


@dataclass(frozen=True)
class Choice:
    """What of a tree the command line means. changed_since: a revision; gitignore: leave alone what git
    ignores."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    recursive: bool = False
    changed_since: str | None = None
    gitignore: bool = False

    @property
    def narrows(self) -> str | None:
        """The flag that makes sense only for a folder, None if none is given."""
        flags = {
            "--include": self.include,
            "--exclude": self.exclude,
            "--changed-since": self.changed_since,
            "--gitignore": self.gitignore,
        }
        return next((flag for flag, value in flags.items() if value), None)


@dataclass
class Chosen:
    """sources: what is opened, in order; left: reason -> paths of what is not."""

    sources: list[str | Part] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, reason: str, paths: Sequence[str]) -> None:
        """Count files that are not opened, or not told one by one."""
        self.left.setdefault(reason, []).extend(paths)

    @property
    def left_alone(self) -> list[LeftAlone]:
        """What the reports say of it."""
        return [
            LeftAlone(reason, len(paths), [visible(path) for path in sorted(paths)[:_MOST_PATHS]])
            for reason, paths in self.left.items()
            if paths
        ]


def choose(sources: Sequence[str], choice: Choice | None = None) -> Chosen:
    """The sources of a scan. Raises UsageError for a flag that does not fit a source, and for patterns
    that leave nothing; NotLoadable for a tree that is too large."""
    choice = choice or Choice()
    for pattern in (*choice.include, *choice.exclude):
        globs.compiled(pattern)
    chosen = Chosen()
    for source in sources:
        if hub.is_name(source):
            if choice.narrows:
                raise UsageError(f"{choice.narrows} is for folders, and {source!r} lies on a hub")
            chosen.sources.append(source)
        elif Path(source).is_dir():
            _add_tree(chosen, source, choice)
        else:
            _add_file(chosen, source, choice)
    if not chosen.sources and choice.include:
        raise UsageError(
            f"no file of {', '.join(map(repr, sources))} matches --include {' '.join(choice.include)}"
        )
    return chosen


def _add_tree(chosen: Chosen, source: str, choice: Choice) -> None:
    ignored: frozenset[str] = frozenset()
    if choice.gitignore:
        ignored = frozenset(_checkout(source, "--gitignore").ignored())
    found = tree.find(
        source,
        Wanted(
            include=choice.include,
            exclude=choice.exclude,
            recursive=choice.recursive,
            ignored=lambda path: IGNORED if path in ignored else None,
        ),
    )
    if not found.parts and not found.left:
        found.parts.append(Part(source))  # an empty folder: the inventory says so
    if choice.changed_since is not None:
        _drop_unchanged(found, source, choice.changed_since)
    # A source that is whole is opened as one that was named.
    chosen.sources += [part if part.only is not None else part.name for part in found.parts]
    for reason, paths in found.left.items():
        chosen.leave(reason, [os.path.join(source, path) for path in paths])


def _add_file(chosen: Chosen, source: str, choice: Choice) -> None:
    if choice.changed_since is not None:
        name = Path(source).name
        same, _ = _checkout(source, "--changed-since").unchanged(choice.changed_since, [name])
        if same:
            chosen.leave(_unchanged(choice.changed_since), [source])
            return
    chosen.sources.append(source)


def _drop_unchanged(found: Tree, source: str, revision: str) -> None:
    """Leave out each source of which no file was changed, added or removed since a commit."""
    files = {part: _files(part) for part in found.parts}
    below = {part: _prefix(part, source) for part in found.parts}
    paths = [below[part] + path for part in found.parts for path in files[part]]
    same, gone = _checkout(source, "--changed-since").unchanged(revision, paths)
    gone -= {path for paths in found.left.values() for path in paths}
    kept = []
    for part in found.parts:
        mine = [below[part] + path for path in files[part]]
        lost = [] if part.beside else [path for path in gone if path.startswith(below[part])]
        if lost or not all(path in same for path in mine):
            kept.append(part)
        else:
            found.left.setdefault(_unchanged(revision), []).extend(mine)
    found.parts = kept


def _files(part: Part) -> list[str]:
    if part.only is not None:
        return sorted(part.only)
    found = []
    for folder, folders, names in os.walk(part.name):
        folders[:] = [name for name in folders if name != ".git"]
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found += [os.path.relpath(os.path.join(folder, name), part.name) for name in names + links]
    return found


def files_of(source: str | Part) -> list[Path]:
    """The files of a source that is a path, where they lie."""
    if isinstance(source, str):
        if not Path(source).is_dir():
            return [Path(source)]
        source = Part(source)
    return [Path(source.name, path) for path in _files(source)]


def _prefix(part: Part, source: str) -> str:
    relative = os.path.relpath(part.name, source)
    return "" if relative == "." else f"{relative}/"


def _unchanged(revision: str) -> str:
    return f"unchanged since {revision}"


def _checkout(source: str, flag: str) -> Checkout:
    from safe_load.sources.changes import Checkout  # noqa: PLC0415 - only who asks git needs it

    return Checkout(source, flag)
