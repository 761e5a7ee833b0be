"""What a source is made of: regular files, each with the part it plays.

Zone: controller. Looks at names, sizes and links; opens no model file. The only content read here
is an index (JSON, bounded), because it says which shards belong together.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from safe_load.errors import NotLoadable
from safe_load.formats.escape import visible
from safe_load.json_strict import Malformed, parse
from safe_load.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILES = 10_000
MAX_DEPTH = 8
_MAX_INDEX = 64 << 20

#: Extensions of files that hold, or may hide, a pickle or tensors.
_WEIGHTS = frozenset(
    ".bin .pt .pth .ckpt .pkl .pickle .joblib .dill .safetensors .pt2 .npy .npz .mar .tar".split()
)
#: Text and tables that no loader unpickles; they are shown to the room, not opened as weights.
_TEXT = frozenset(
    ".json .txt .md .py .yaml .yml .toml .jinja .cfg .gitattributes .csv .tsv".split()
)
#: Pickles that belong to a training run, not to the model: opened and judged, never exported.
_COMPANION = re.compile(
    r"(training_args|optimizer|scheduler|scaler|rng_state|random_states|trainer_state|normalizer)"
    r"[-_.\d]*\.(bin|pt|pth|pkl)"
)
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.(?:bin|safetensors)")
#: Weight files as transformers, diffusers and peft name them, and what they are exported as.
_CANONICAL = {
    "pytorch_model": "model",
    "model": "model",
    "adapter_model": "adapter_model",
    "diffusion_pytorch_model": "diffusion_pytorch_model",
}
_SKIPPED_FOLDERS = frozenset({".git", ".cache", "__pycache__", ".svn", ".hg"})

Role = Literal["weights", "pickle", "other", "text"]


#: The real file, its size, its device and inode.
_Found = tuple[Path, int, tuple[int, int]]


@dataclass(frozen=True)
class Entry:
    """One file. path: relative to the source, with slashes; place: the real file behind it;
    identity: its device and inode, so that no other file can take its place later.

    role: "weights" is exported (as `export`), "pickle" is opened and judged, "other" is looked into
    for what it really is, "text" is only shown to the room, because a load may read it.
    """

    path: str
    place: Path
    size: int
    identity: tuple[int, int]
    role: Role
    export: str | None = None


@dataclass(frozen=True)
class Inventory:
    """source: as the user named it; folder: whether it is one; entries: sorted by path;
    notes: what a reader should know; leaves: index entries that point out of the folder."""

    source: str
    folder: bool
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()

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


@dataclass
class _Findings:
    notes: list[str] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)


def take(
    source: str,
    place: Path | None = None,
    only: frozenset[str] | None = None,
    options: Options | None = None,
) -> Inventory:
    """List the source's files. place: where it is, when `source` is no path; only: the files that
    count, for a folder that holds others; options: those that say which weights are meant. Raises
    NotLoadable when it cannot be opened as a model: special files, links that lead out of it, no
    model in it."""
    path = place or Path(source)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        what = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise NotLoadable(f"{source} {what}") from error
    except OSError as error:
        raise NotLoadable(f"{source} cannot be opened: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        return _folder(source, path, only, options or Options())
    place = Path(os.path.realpath(path))
    _check(source, place, status)
    name = path.name
    export = f"{_CANONICAL.get(_stem(name), _stem(name))}.safetensors"
    identity = status.st_dev, status.st_ino
    entry = Entry(name, place, status.st_size, identity, "weights", export)
    return Inventory(source, folder=False, entries=(entry,))


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


def _folder(source: str, path: Path, only: frozenset[str] | None, options: Options) -> Inventory:
    root = Path(os.path.realpath(path))
    try:
        found = dict(_walk(source, root, only))
    except PermissionError as error:
        raise NotLoadable(
            f"{visible(str(error.filename))} cannot be read: permission denied"
        ) from error
    findings = _Findings()
    roles = _roles(source, found, findings, options)
    entries = [
        Entry(name, place, size, identity, *roles.get(name, _unnamed(name)))
        for name, (place, size, identity) in sorted(found.items())
    ]
    if not any(entry.role == "weights" for entry in entries):
        _require_chosen(source, options, entries)
        if options.weights_optional and any(entry.path.endswith(".json") for entry in entries):
            return Inventory(source, True, tuple(entries), tuple(findings.notes))
        raise NotLoadable(
            f"{source} holds no model: none of its {len(entries)} files is one of weights "
            "(.safetensors, .bin, .pt, .pth, .ckpt, .pkl)"
        )
    return Inventory(source, True, tuple(entries), tuple(findings.notes), tuple(findings.leaves))


def _require_chosen(source: str, options: Options, entries: list[Entry]) -> None:
    """Raise NotLoadable if there are weights, but not those that were asked for."""
    if not any(entry.role == "pickle" for entry in entries):
        return
    asked = [f"of the variant {options.variant!r}"] if options.variant else []
    asked += ["in safetensors"] if options.use_safetensors else []
    asked += ["in anything but safetensors"] if options.use_safetensors is False else []
    if asked:
        raise NotLoadable(f"{source} holds no weights {' and '.join(asked)}")


def _unnamed(name: str) -> tuple[Role, None]:
    # A name that is an extension alone, as of .gitattributes, has none for pathlib.
    return ("text" if {_extension(name), Path(name).name} & _TEXT else "other"), None


def _walk(source: str, root: Path, only: frozenset[str] | None) -> Iterator[tuple[str, _Found]]:
    """(relative path, (real file, size)) of every file below root."""
    stores = _stores(root)
    count = 0
    pending = [(root, 0)]
    while pending:
        folder, depth = pending.pop()
        for item in sorted(os.scandir(folder), key=lambda item: item.name):
            name = str(Path(item.path).relative_to(root))
            if item.is_dir(follow_symlinks=False):
                if item.name in _SKIPPED_FOLDERS:
                    continue
                if depth == MAX_DEPTH:
                    raise NotLoadable(
                        f"{source}: {visible(name)} lies more than {MAX_DEPTH} folders deep"
                    )
                pending.append((Path(item.path), depth + 1))
                continue
            if not name.isprintable():
                raise NotLoadable(
                    f"{source}: the name of {visible(name)} holds unprintable characters"
                )
            if only is not None and name not in only:
                continue
            count += 1
            if count > MAX_FILES:
                raise NotLoadable(f"{source} holds more than {MAX_FILES:,} files")
            place = Path(item.path)
            if item.is_symlink():
                place = _resolve(source, name, place, root, stores)
            status = place.stat()
            _check(f"{source}/{name}", place, status)
            yield name, (place, status.st_size, (status.st_dev, status.st_ino))


def _stores(root: Path) -> tuple[Path, ...]:
    """Where a hub's cache keeps the files that a snapshot, or a folder in one, links to:
    blobs/ of the repository, beside snapshots/, and blobs/ of the cache, which repositories share.
    The latter only with the mark that huggingface_hub puts there."""
    for snapshot in (root, *root.parents):
        if snapshot.parent.name == "snapshots":
            own, shared = snapshot.parent.parent / "blobs", snapshot.parents[2] / "blobs"
            marked = (shared / ".huggingface-shared-blobs").is_file()
            return (own, shared) if marked else (own,)
    return ()


def _resolve(source: str, name: str, link: Path, root: Path, stores: tuple[Path, ...]) -> Path:
    """The file behind a link that stays in the model's folder or the cache's blobs. Any other link
    could put a file of the host's into the room."""
    place = Path(os.path.realpath(link))
    shown = f"{source}/{visible(name)}"
    if not place.exists():
        raise NotLoadable(f"{shown} is a link to nothing")
    if not any(place.is_relative_to(folder) for folder in (root, *stores)):
        raise NotLoadable(f"{shown} is a link that leads out of the model's folder")
    return place


def _roles(
    source: str, found: dict[str, _Found], findings: _Findings, options: Options
) -> dict[str, tuple[Role, str | None]]:
    """What part each file plays, folder by folder; a file that is not named here is "other"."""
    roles: dict[str, tuple[Role, str | None]] = {}
    folders: dict[str, list[str]] = {}
    for path in found:
        folder, _, name = path.rpartition("/")
        folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        prefix = f"{folder}/" if folder else ""
        shards = _indexed(source, prefix, found, findings, options)
        for name, part in _parts(names, shards, options).items():
            role, export = part
            roles[prefix + name] = (role, prefix + export if export else None)
    taken: dict[str, str] = {}
    for path, (role, export) in sorted(roles.items()):
        if role == "weights" and export in taken:
            roles[path] = ("weights", f"{path}.safetensors")
        elif export is not None:
            taken[export] = path
    for path, (role, _) in roles.items():
        if role == "pickle" and not _COMPANION.fullmatch(Path(path).name):
            findings.notes.append(
                f"{visible(path)} was opened but not exported: other weights of this folder come first"
            )
    return roles


def _parts(
    names: list[str], shards: set[str], options: Options
) -> dict[str, tuple[Role, str | None]]:
    """The files of one folder that hold weights or pickles. As in transformers, safetensors come
    before pickles and whole files before shards; what comes second is opened but not exported."""
    parts: dict[str, tuple[Role, str | None]] = {}
    first: dict[str, list[str]] = {}
    for name in names:
        if _extension(name) not in _WEIGHTS:
            continue
        parts[name] = ("pickle", None)
        if _COMPANION.fullmatch(name):
            continue
        match = _SHARD.fullmatch(name)
        base = match[1] if match else name.rpartition(".")[0]
        if options.variant:
            base, _, variant = base.rpartition(".")
            base = base if variant == options.variant else ""
        if base in _CANONICAL and (match is None or name in shards):
            first.setdefault(_CANONICAL[base], []).append(name)
    if not first and options.variant is None:
        loose = [name for name in parts if not _COMPANION.fullmatch(name)]
        return parts | {name: ("weights", f"{_stem(name)}.safetensors") for name in loose}
    for base, members in first.items():
        chosen = [name for name in members if name.endswith(".safetensors")]
        if options.use_safetensors is False:
            chosen = [name for name in members if name not in chosen]
        elif options.use_safetensors is None:
            chosen = chosen or members
        whole = [name for name in chosen if not _SHARD.fullmatch(name)]
        for name in whole[:1] or chosen:
            match = _SHARD.fullmatch(name)
            export = (
                f"{base}-{match[2]}-of-{match[3]}.safetensors" if match else f"{base}.safetensors"
            )
            parts[name] = ("weights", export)
    return parts


def _indexed(
    source: str, prefix: str, found: dict[str, _Found], findings: _Findings, options: Options
) -> set[str]:
    """The shards that the indexes of one folder name. Raises NotLoadable for one that is missing."""
    shards: set[str] = set()
    variant = f".{options.variant}" if options.variant else ""
    for base in _CANONICAL:
        for extension in ("safetensors", "bin"):
            name = f"{prefix}{base}.{extension}.index{variant}.json"
            if name not in found:
                continue
            for shard in sorted(read_index(source, name, *found[name][:2])):
                if "/" in shard or "\\" in shard or shard in ("", ".", ".."):
                    findings.leaves.append(f"{name}: {shard}")
                elif prefix + shard not in found:
                    raise NotLoadable(
                        f"{source}/{visible(name)} names the shard {visible(shard)}, which is missing"
                    )
                else:
                    shards.add(shard)
    return shards


def read_index(source: str, name: str, place: Path, size: int) -> set[str]:
    """The files that an index names. Raises NotLoadable when it is none."""
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
    return set(table.values())


def _extension(name: str) -> str:
    return Path(name).suffix.lower()


def _stem(name: str) -> str:
    stem = Path(name).stem.lstrip(".")
    return stem.removesuffix(".tar") or "model"
