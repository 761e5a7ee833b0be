"""Which installed packages the pickles of a model name, and the room that opens the model beside them.

Zone: controller. A payload may need a package that only this host has. The first detonation shows a fixed
set of packages; where pickles name others that are installed, a second one shows these as well. Packages
are found by their metadata alone: nothing of them is imported here.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder, all_suffixes
from typing import TYPE_CHECKING, Annotated

import msgspec
from safe_load.core import typed
from safe_load.export.extracted import LINE, MAX_FILES, MAX_TEXTS, WORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from safe_load.sandbox.backends.interface import Job, RoomResult

#: The stage of the room that shows them, in the record.
STAGE = "installed"
#: Distributions that are shown, besides what these require.
MOST = 20
#: Classes of which the room is asked whether objects of them are inert, and the longest of their names.
_MOST_CLASSES, _LONGEST = 200, 300
_CLASSES = "safe_load.worker.plain_classes:main"
#: Packages that one file names before extraction stops listing them.
_MOST_OF_A_FILE = 1000
_MOST_NAMES = 5
#: Installers and ourselves. What they do is nothing that a model's library does.
_NEVER = frozenset({"safe-load", "pip", "setuptools", "wheel", "distribute"})
_NOT_A_LIBRARY = frozenset({"safe_load", "pip", "setuptools", "pkg_resources", "_distutils_hack"})
_PYTHON = frozenset(sys.stdlib_module_names) | {"__builtin__", "__main__", "copy_reg"}
_SUFFIXES = tuple(all_suffixes())


class _Use(msgspec.Struct):
    name: LINE
    use: WORD = ""


class _File(msgspec.Struct):
    callables: Annotated[list[_Use], msgspec.Meta(max_length=MAX_TEXTS)] = []
    packages: Annotated[list[WORD], msgspec.Meta(max_length=_MOST_OF_A_FILE)] = []


class _Answer(msgspec.Struct):
    inert: Annotated[list[LINE], msgspec.Meta(max_length=_MOST_CLASSES)]


class _Files(msgspec.Struct):
    files: Annotated[list[_File], msgspec.Meta(max_length=MAX_FILES)] = []


@dataclass(frozen=True)
class NamedPackages:
    """distributions: what a further room shows, by name; titles: the same with their versions; room: how
    that room ended, None where there was none; unshown: why named packages could not be shown, a
    sentence; notes: what a reader should know; classes: classes of these packages of which pickles make
    plain objects; modules: the packages by the names that import them; imported: how the room ended
    that was shown no model and imported these alone; asked: how the one ended that looked at the classes;
    inert: those whose code runs for none."""

    distributions: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    room: RoomResult | None = None
    unshown: str = ""
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    imported: RoomResult | None = None
    asked: RoomResult | None = None
    inert: frozenset[str] = frozenset()


def find(value: object, shown: tuple[str, ...], *, borrowed: bool) -> NamedPackages:
    """The installed distributions that pickles name and no room was shown.

    Args:
        value: what the worker that read the files said, hostile.
        shown: the distributions that the first detonation showed.
        borrowed: whether rooms show this Python's packages.

    Raises:
        ValueError: the value is nothing that this worker says.
    """
    try:
        files = typed.convert(value, _Files).files
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"the result of extraction is malformed: {error}") from error
    roots = {root for file in files for root in file.packages if root.isidentifier()}
    roots -= _PYTHON | _NOT_A_LIBRARY
    known = _shown(shown) if roots else frozenset()
    here = sorted(root for root in roots - known if _is_here(root))
    endless = any(len(file.packages) >= _MOST_OF_A_FILE for file in files)
    why = "a pickle names more packages than safe-load looks up" if endless else ""
    if not here:
        return NamedPackages(unshown=why)
    if not borrowed:
        note = f"pickles name packages that are installed on this host: {_some(here)}; the room had the packages of its image, and not these"
        return NamedPackages(unshown=why, notes=(note,))
    found, without = _distributions(here)
    names = sorted(found)
    if len(names) > MOST:
        why = f"pickles name {len(names)} installed packages besides those of the room, and a room shows at most {MOST} of them"
    names = names[:MOST]
    titles = tuple(f"{name} {found[name]}" for name in names)
    notes = []
    if titles:
        notes.append(
            f"the model was opened a second time, beside installed packages that its pickles name: {_some(titles, MOST)}"
        )
    if without:
        notes.append(
            f"pickles name modules of this host that no room contains: {_some(without)}; safe-load did not see what their classes do"
        )
    shown_here = set(here) - set(without) if names else set[str]()
    return NamedPackages(
        tuple(names),
        titles,
        unshown=why,
        notes=tuple(notes),
        classes=_classes(files, shown_here),
        modules=tuple(sorted(shown_here)),
    )


def open_beside(
    named: NamedPackages, first: Job, run: Callable[[Job], RoomResult]
) -> NamedPackages:
    """Run the job of the first detonation again, in a room that also shows the named packages. Where that
    was not quiet, a room that is shown no file of the model imports the packages: their own roots alone,
    since which of their modules is imported besides is the model's choice. Where objects of their classes
    are made, another one says which of the classes are inert."""
    if not named.distributions:
        return named
    job = replace(first, name=STAGE, distributions=(*first.distributions, *named.distributions))
    named = replace(named, room=run(job))
    if named.room is not None and any(each.decision != "allowed" for each in named.room.events):
        named = replace(named, imported=_alone(job, run, packages=named.modules))
    return _look_at_classes(named, job, run) if named.classes else named


def _alone(
    beside: Job,
    run: Callable[[Job], RoomResult],
    packages: tuple[str, ...] = (),
    classes: tuple[str, ...] = (),
) -> RoomResult:
    """How a room ends that is shown the packages and no file of the model."""
    argument = {"packages": list(packages), "names": list(classes)}
    return run(replace(beside, entry=_CLASSES, argument=argument, preload=(), files=()))


def _look_at_classes(
    named: NamedPackages, beside: Job, run: Callable[[Job], RoomResult]
) -> NamedPackages:
    """What the room says of the classes. Any failure means that none is inert."""
    asked = _alone(beside, run, classes=named.classes)
    try:
        said = typed.convert(asked.value, _Answer).inert
    except (msgspec.ValidationError, RecursionError):
        said = []
    inert = frozenset(said) & frozenset(named.classes) if asked.status == "ok" else frozenset()
    return replace(named, asked=asked, inert=inert)


def _classes(files: Iterable[_File], roots: set[str]) -> tuple[str, ...]:
    """The classes of these packages of which pickles make plain objects."""
    names = {
        each.name
        for file in files
        for each in file.callables
        if each.use == "new"
        and len(each.name) <= _LONGEST
        and each.name.partition(".")[0] in roots
        and all(part.isidentifier() for part in each.name.split("."))
    }
    return tuple(sorted(names)[:_MOST_CLASSES])


def _shown(distributions: tuple[str, ...]) -> frozenset[str]:
    """The top-level modules in a room that shows these."""
    from safe_load.sandbox import runtime  # noqa: PLC0415 - slow, and most models need it later

    parts = runtime.find(distributions)
    site = f"{runtime.SITE}/"
    targets = [target for _, target in (*parts.folders, *parts.files) if target.startswith(site)]
    return frozenset(_modules(target.removeprefix(site) for target in targets))


def _modules(entries: Iterable[str]) -> set[str]:
    """The names under which entries of site-packages are imported."""
    found = set()
    for entry in entries:
        suffix = next((end for end in _SUFFIXES if entry.endswith(end)), "")
        name = entry.removesuffix(suffix) if suffix else entry
        # A compiled module carries its platform: name.cpython-311-x86_64-linux-gnu.so.
        name = name.partition(".")[0] if suffix else name
        if name.isidentifier():
            found.add(name)
    return found


def _is_here(root: str) -> bool:
    """Whether this Python would find the module. Looks, and imports nothing."""
    try:
        return PathFinder.find_spec(root, [place for place in sys.path if place]) is not None
    except (ImportError, ValueError, OSError):
        return True  # something is there


def _distributions(roots: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """The distributions (name -> version) that have these modules, and the modules that none has, or only
    one that is never shown."""
    from importlib import metadata  # noqa: PLC0415 - slow, and few models name packages

    from safe_load.sandbox import runtime  # noqa: PLC0415

    wanted, covered = set(roots), set[str]()
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        modules = wanted & _modules(runtime.top_level(distribution))
        name = distribution.metadata["Name"] if modules else None
        if not name or not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
            continue
        normal = runtime.normal(name)
        if normal in _NEVER or normal in runtime.EXCLUDED:
            continue
        covered |= modules
        found.setdefault(name, str(distribution.version)[:50])
    return found, sorted(wanted - covered)


def _some(names: Iterable[str], most: int = _MOST_NAMES) -> str:
    names = list(names)
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
