"""What a source is made of: regular files, each with the part it plays.

Zone: controller. Looks at names, sizes and links; opens no model file. The only content read here
is an index (JSON, bounded), because it says which shards belong together.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.core.options import Options
from safe_load.sources import groups
from safe_load.sources.file_names import extension, further, is_hidden, shown, stem
from safe_load.sources.links import resolve, stores
from safe_load.sources.shards import find as find_shards
from safe_load.sources.weight_names import CANONICAL, COMPANION, EXTENSIONS, SHARD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.sources.shards import Promise, Shards

MAX_FILES = 10_000
MAX_DEPTH = 32

#: Text and tables that no loader unpickles; they are shown to the room, not opened as weights.
_TEXT = frozenset(
    ".json .txt .md .py .yaml .yml .toml .jinja .cfg .gitattributes .csv .tsv".split()
)

Role = Literal["weights", "pickle", "left", "other", "text", "hidden"]


#: The real file, its size, its device and inode.
_Found = tuple[Path, int, tuple[int, int]]


@dataclass(frozen=True)
class Entry:
    """One file. path: relative to the source, with slashes; place: the real file behind it;
    identity: its device and inode, so that no other file can take its place later.

    role: "weights" is exported (as `export`), "pickle" is opened and judged, "left" are weights that a load does
    not open, because others of their folder come first, "other" is looked into for what it really is, "text" too,
    and a load may read it, "hidden" lies in a folder of other tools, as .git. chosen: stands in the place where a
    library looks for a model. parts: paths of the files that are read together with it, for one export.
    """

    path: str
    place: Path
    size: int
    identity: tuple[int, int]
    role: Role
    export: str | None = None
    chosen: bool = False
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """source: as the user named it; folder: whether it is one; entries: sorted by path;
    notes: what a reader should know; leaves: index entries that point out of the folder; every: all
    files are to be judged, as for a scan; promises: what indexes say of the shards that were taken; whole: all that the one file holds is to be given back."""

    source: str
    folder: bool
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    every: bool = False
    whole: bool = False
    promises: tuple[Promise, ...] = ()

    def named(self, path: str) -> Entry | None:
        """The entry at that relative path."""
        return next((entry for entry in self.entries if entry.path == path), None)

    @property
    def loaded(self) -> tuple[Entry, ...]:
        """The files that a trusting user would open."""
        return tuple(entry for entry in self.entries if entry.role in ("weights", "pickle"))

    @property
    def weights(self) -> tuple[Entry, ...]:
        """The files whose tensors are exported."""
        return tuple(entry for entry in self.entries if entry.role == "weights")

    @property
    def weighed(self) -> int:
        """Bytes of the files from which the export is made."""
        return sum(entry.size for entry in self.read_for_export)

    @property
    def read_for_export(self) -> tuple[Entry, ...]:
        """The files from which the export is made."""
        paths = {path for entry in self.weights for path in (entry.path, *entry.parts)}
        return tuple(entry for entry in self.entries if entry.path in paths)


@dataclass
class _Findings:
    notes: list[str] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)


def take(
    source: str,
    place: Path | None = None,
    only: frozenset[str] | None = None,
    options: Options | None = None,
    *,
    every: bool = False,
) -> Inventory:
    """List the source's files. place: where it is, when `source` is no path; only: the files that
    count, for a folder that holds others; options: those that say which weights are meant; every:
    for a scan, which judges all files, so that a folder without weights will do. Raises NotLoadable when it cannot be opened as a model: special files, links that lead out of it, no
    model in it."""
    path = place or Path(source)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        what = "is a broken link" if path.is_symlink() else "does not exist"
        raise NotLoadable(f"{source} {what}") from error
    except OSError as error:
        raise NotLoadable(f"{source} cannot be opened: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        return _folder(source, path, only, options or Options(), every=every)
    place = Path(os.path.realpath(path))
    _check(source, place, status)
    name = shown(path.name)
    export = f"{CANONICAL.get(stem(name), stem(name))}.safetensors"
    identity = status.st_dev, status.st_ino
    entry = Entry(name, place, status.st_size, identity, "weights", export, chosen=True)
    whole = options is not None and options.whole
    return Inventory(visible(source), folder=False, entries=(entry,), every=every, whole=whole)


def _check(shown: str, place: Path, status: os.stat_result) -> None:
    kind = _SPECIAL.get(stat.S_IFMT(status.st_mode))
    if kind is not None:
        raise NotLoadable(f"{visible(shown)} is {kind}, not a regular file")
    if not os.access(place, os.R_OK):
        raise NotLoadable(f"{visible(shown)} cannot be read: permission denied")


_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def _folder(
    source: str, path: Path, only: frozenset[str] | None, options: Options, *, every: bool
) -> Inventory:
    root = Path(os.path.realpath(path))
    findings = _Findings()
    try:
        found = dict(_walk(source, root, only, findings.notes))
    except PermissionError as error:
        raise NotLoadable(
            f"{visible(str(error.filename))} cannot be read: permission denied"
        ) from error
    roles = _roles(source, found, findings, options, every=every)
    together = groups.find(path for path in found if not is_hidden(path))
    for name in {
        part for head, parts in together.items() for part in (head, *parts)
    } & roles.keys():
        roles[name] = ("pickle", None)
    taken = {export for role, export in roles.values() if role == "weights" and export}
    for name, export in groups.exports(together, taken, options).items():
        roles[name] = ("weights" if export else "pickle", export)
    parts = groups.beside(found) | together
    entries = [
        _entry(name, place, size, identity, *roles.get(name, _unnamed(name)), parts.get(name, ()))
        for name, (place, size, identity) in sorted(found.items())
    ]
    notes, leaves = tuple(findings.notes), tuple(findings.leaves)
    if not any(entry.role == "weights" for entry in entries):
        _require_chosen(source, options, entries)
        if every and entries:
            return Inventory(source, True, tuple(entries), notes, leaves, every=True)
        if options.weights_optional and any(entry.path.endswith(".json") for entry in entries):
            return Inventory(source, True, tuple(entries), notes, leaves)
        raise NotLoadable(
            f"{source} holds no model: none of its {len(entries)} files has a name of weights "
            "(.safetensors, .bin, .pt, .pth, .ckpt, .pkl, .gguf, .onnx, .h5, .keras, .msgpack, or .metadata "
            "with .distcp)"
        )
    promises = tuple(findings.promises)
    return Inventory(source, True, tuple(entries), notes, leaves, every, promises=promises)


def _require_chosen(source: str, options: Options, entries: list[Entry]) -> None:
    """Raise NotLoadable if there are weights, but not those that were asked for."""
    if not any(entry.role in ("pickle", "left") for entry in entries):
        return
    asked = [f"of the variant {options.variant!r}"] if options.variant else []
    asked += ["in safetensors"] if options.use_safetensors else []
    asked += ["in another format than safetensors"] if options.use_safetensors is False else []
    if asked:
        raise NotLoadable(f"{source} holds no weights {' and '.join(asked)}")


def _entry(
    name: str,
    place: Path,
    size: int,
    identity: tuple[int, int],
    role: Role,
    export: str | None,
    parts: tuple[str, ...],
) -> Entry:
    base = (export or "").rpartition("/")[2].removesuffix(".safetensors")
    match = SHARD.fullmatch(f"{base}.safetensors")
    chosen = role == "weights" and (match[1] if match else base) in CANONICAL.values()
    return Entry(name, place, size, identity, role, export, chosen, parts)


def _unnamed(name: str) -> tuple[Role, None]:
    if is_hidden(name):
        return "hidden", None
    # A name that is an extension alone, as of .gitattributes, has none for pathlib.
    return ("text" if {extension(name), Path(name).name} & _TEXT else "other"), None


def _walk(
    source: str, root: Path, only: frozenset[str] | None, notes: list[str]
) -> Iterator[tuple[str, _Found]]:
    """(relative path, (real file, size)) of every file below root."""
    blobs = stores(root)
    count = 0
    names: set[str] = set()
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        for item in sorted(os.scandir(folder), key=lambda item: item.name):
            name = str(Path(item.path).relative_to(root))
            if item.is_dir(follow_symlinks=False):
                if depth == MAX_DEPTH:
                    raise NotLoadable(
                        f"{source}: {visible(name)} lies more than {MAX_DEPTH} folders deep"
                    )
                pending.append((Path(item.path), depth + 1))
                continue
            if only is not None and name not in only:
                continue
            name = "/".join(map(shown, name.split("/")))
            if name in names:
                raise NotLoadable(f"{source}: two files would both be shown as {visible(name)}")
            names.add(name)
            count += 1
            if count > MAX_FILES:
                raise NotLoadable(f"{source} holds more than {MAX_FILES:,} files")
            place = Path(item.path)
            if item.is_symlink():
                place = resolve(source, name, place, root, blobs)
                if place.is_dir() and place.is_relative_to(root):
                    # As wandb's latest-run: what lies there is listed where it lies.
                    notes.append(f"{visible(name)} is a link to a folder of the model")
                    continue
            status = place.stat()
            _check(f"{source}/{name}", place, status)
            yield name, (place, status.st_size, (status.st_dev, status.st_ino))


def _roles(
    source: str, found: dict[str, _Found], findings: _Findings, options: Options, *, every: bool
) -> dict[str, tuple[Role, str | None]]:
    """What part each file plays, folder by folder; a file that is not named here is "other"."""
    roles: dict[str, tuple[Role, str | None]] = {}
    folders: dict[str, list[str]] = {}
    numbers = groups.numbers(found)
    for path in found:
        if is_hidden(path) or path in numbers:
            continue
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        prefix = f"{folder}/" if folder else ""
        shards = find_shards(source, prefix, names, found, options.variant)
        findings.notes += shards.notes
        findings.leaves += shards.leaves
        parts = _parts(names, shards, options, every=every)
        for name, (role, export) in parts.items():
            roles[prefix + name] = (role, prefix + export if export else None)
        taken_from = {
            name.rpartition(".")[2]
            for name, (role, _) in parts.items()
            if role == "weights" and name in shards.names
        }
        findings.promises += [
            promise for (_, kind), promise in shards.promises.items() if kind in taken_from
        ]
    taken: dict[str, str] = {}
    for path, (role, export) in sorted(roles.items()):
        if role == "weights" and export in taken:
            roles[path] = ("weights", f"{path}.safetensors")
        elif export is not None:
            taken[export] = path
    for path, (role, _) in roles.items():
        if role == "pickle" and not COMPANION.fullmatch(Path(path).name):
            what = "was opened but is not what a load exports" if every else "is left out"
            findings.notes.append(
                f"{visible(path)} {what}: other weights of this folder come first"
            )
            if not every:
                roles[path] = ("left", None)
    if not any(role == "weights" for role, _ in roles.values()) and not (
        options.variant or options.use_safetensors
    ):
        taken_by = [export for _, export in roles.values()]
        roles |= {path: ("weights", export) for path, export in further(found, taken_by).items()}
    return roles


def _parts(
    names: list[str], shards: Shards, options: Options, *, every: bool
) -> dict[str, tuple[Role, str | None]]:
    """The files of one folder that hold weights or pickles. As in transformers, safetensors come
    before pickles and whole files before shards; what comes second is not exported. Raises
    NotLoadable where what would be loaded is not whole."""
    parts: dict[str, tuple[Role, str | None]] = {}
    first: dict[str, list[str]] = {CANONICAL[base]: [] for base, _ in shards.trouble}
    for name in names:
        if extension(name) not in EXTENSIONS:
            continue
        parts[name] = ("pickle", None)
        if COMPANION.fullmatch(name):
            continue
        match = SHARD.fullmatch(name)
        base = match[1] if match else name.rpartition(".")[0]
        if options.variant:
            base, _, variant = base.rpartition(".")
            base = base if variant == options.variant else ""
        if base in CANONICAL and (match is None or name in shards.names):
            first.setdefault(CANONICAL[base], []).append(name)
    chosen = {base: _first(base, members, shards, options) for base, members in first.items()}
    if not any(chosen.values()):
        unclear = [text for text, _ in shards.trouble.values()]
        if unclear and not (every or options.weights_optional):
            raise NotLoadable(unclear[0])
        if options.variant is None and not any(first.values()):
            loose = [name for name in parts if not COMPANION.fullmatch(name)]
            return parts | {name: ("weights", f"{stem(name)}.safetensors") for name in loose}
    for base, members in chosen.items():
        for name in members:
            match = SHARD.fullmatch(name)
            export = (
                f"{base}-{match[2]}-of-{match[3]}.safetensors" if match else f"{base}.safetensors"
            )
            parts[name] = ("weights", export)
    return parts


def _first(base: str, members: list[str], shards: Shards, options: Options) -> list[str]:
    """Of the files that are exported under one name, those that stock code looks for first. Raises
    NotLoadable where these are not whole."""
    for safe in (True, False):
        if options.use_safetensors not in (None, safe):
            continue
        of_kind = [name for name in members if name.endswith(".safetensors") is safe]
        whole = [name for name in of_kind if not SHARD.fullmatch(name)]
        if whole or of_kind:
            return whole[:1] or of_kind
        for (named, kind), (sentence, indexed) in shards.trouble.items():
            looked_for = CANONICAL[named] == base and (kind == "safetensors") is safe
            if looked_for and indexed and not options.weights_optional:
                raise NotLoadable(sentence)
    return []
