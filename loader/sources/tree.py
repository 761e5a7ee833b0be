"""The models of a tree: a folder that holds several is several sources, and each file is of one of them.

Zone: controller. Goes by names and links alone, and opens no file. What a tree holds beside its models is a
source too, so that nothing is left unjudged but what the user excludes, and git's own folders.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.sources import globs, groups
from safe_load.sources.weight_names import COMPANION, EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

MOST_FILES = 200_000
_MOST_FOLDERS_DEEP = 100
#: Files of one source beside the models: below the bound of an inventory.
_CHUNK = 5_000
#: Names of models of formats that have no weights to export, beside those of EXTENSIONS.
_FURTHER = frozenset(
    ".h5 .hdf5 .keras .onnx .gguf .ggml .tflite .nemo .pb .msgpack .mlmodel .llamafile .t7 .params .skops .ubj .ot .pdparams .cbm".split()
)
#: Files that describe a model which lies in the folders beside them: these are its parts, and no models.
_WHOLE = frozenset(("model_index.json", "modules.json", "saved_model.pb"))
#: Files without which no library opens a folder, and with which it opens one that holds no weights.
_DESCRIBES = frozenset(
    "tokenizer.json tokenizer_config.json adapter_config.json preprocessor_config.json processor_config.json".split()
)
GIT = "git's own folder, which no commit can hold"
_LINK_INSIDE = "a link to what is judged where it lies"
_LINK_OUTSIDE = "a link out of the tree, or to nothing"
_SPECIAL = "not a regular file"


@dataclass(frozen=True)
class Part:
    """One source of a tree. name: as the report shows it; only: the files that belong to it, relative to
    it, None for all that lie there; beside: it is what lies beside the models."""

    name: str
    only: frozenset[str] | None = None
    beside: bool = False


@dataclass
class Tree:
    """parts: in the order of their paths, what lies beside the models last; left: reason -> the paths of
    what belongs to no source."""

    parts: list[Part] = field(default_factory=list)
    left: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class _Folder:
    """files: names in it; links: name -> the real path of a link to a file."""

    files: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """What of a tree the user means. ignored: asks whether a path is to be left alone, with the reason;
    None asks nothing."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    recursive: bool = False
    ignored: Callable[[str], str | None] | None = None

    def why_not(self, path: str) -> str | None:
        """Why a file is left alone, None if it is not."""
        if (pattern := globs.first(self.exclude, path)) is not None:
            return f"excluded by {pattern}"
        if self.include and globs.first(self.include, path) is None:
            return "not among what is included"
        return self.ignored(path) if self.ignored is not None else None


def find(source: str, wanted: Wanted | None = None) -> Tree:
    """The sources of a folder. One that is a model itself, or holds at most one, is one source, as a whole.

    Raises NotLoadable for a tree that is too large to be listed.
    """
    wanted = wanted or Wanted()
    tree = Tree()
    root = Path(source)
    folders, git = _listed(source, root)
    owners = _owners(folders, recursive=wanted.recursive)
    belonging: dict[str | None, list[str]] = {}
    behind: set[str] = set()
    for path, folder in sorted(folders.items()):
        owner = owners[path]
        for name in folder.files:
            relative = f"{path}/{name}".lstrip("/")
            if (reason := wanted.why_not(relative)) is not None:
                tree.left.setdefault(reason, []).append(relative)
                continue
            belonging.setdefault(owner, []).append(relative)
            if owner is not None and name in folder.links:
                behind.add(folder.links[name])
    everything = not tree.left
    beside = list(_beside(root, folders, belonging.pop(None, []), behind, tree))
    claimed = {owner for owner in owners.values() if owner is not None}
    for owner in sorted(belonging, key=str):
        paths = belonging[owner]
        alone = everything and not any(
            other != owner and (not owner or other.startswith(f"{owner}/")) for other in claimed
        )
        only = None if alone else frozenset(_below(owner or "", path) for path in paths)
        if only is not None and "" in only:
            only = None  # a folder that cannot be listed: its inventory says so
        if alone:
            git = [path for path in git if owners[path.rpartition("/")[0]] != owner]
        tree.parts.append(Part(os.path.join(source, owner) if owner else source, only))
    tree.parts += [
        Part(source, frozenset(beside[begin : begin + _CHUNK]), beside=True)
        for begin in range(0, len(beside), _CHUNK)
    ]
    if git:
        tree.left[GIT] = git
    return tree


def _below(owner: str, path: str) -> str:
    return path[len(owner) + 1 :] if owner else path


def _listed(source: str, root: Path) -> tuple[dict[str, _Folder], list[str]]:
    """Every folder of the tree by its relative path, "" for the root; and what is git's own."""
    found: dict[str, _Folder] = {}
    git: list[str] = []
    count = 0
    pending = [("", 0)]
    while pending:
        path, depth = pending.pop()
        folder = found[path] = _Folder()
        try:
            with os.scandir(root / path) as entries:
                items = sorted(entries, key=lambda item: item.name)
        except OSError:
            # Its files cannot be listed: a source of its own, which says so.
            folder.files.append("")
            continue
        for item in items:
            relative = f"{path}/{item.name}".lstrip("/")
            if item.name == ".git" and not item.is_symlink():
                git.append(relative)  # a worktree and a submodule have a file in the folder's place
                continue
            if item.is_dir(follow_symlinks=False):
                if depth == _MOST_FOLDERS_DEEP:
                    raise NotLoadable(
                        f"{source}: {visible(relative)} lies more than {_MOST_FOLDERS_DEEP} folders deep"
                    )
                folder.folders.append(item.name)
                pending.append((relative, depth + 1))
                continue
            count += 1
            if count > MOST_FILES:
                raise NotLoadable(
                    f"{source} holds more than {MOST_FILES:,} files: name the folders that hold models"
                )
            folder.files.append(item.name)
            if item.is_symlink():
                folder.links[item.name] = os.path.realpath(item.path)
    return found, git


def _owners(folders: dict[str, _Folder], *, recursive: bool) -> dict[str, str | None]:
    """Folder -> the folder of the model that it belongs to, None where it lies beside models."""
    owners: dict[str, str | None] = {}
    whole: set[str] = set()
    for path in sorted(folders, key=lambda path: path.split("/") if path else []):
        folder = folders[path]
        above = owners.get(path.rpartition("/")[0]) if path else None
        is_whole = not _WHOLE.isdisjoint(folder.files)
        is_model = is_whole or _holds_weights(folder)
        if above is None:
            is_model |= not _DESCRIBES.isdisjoint(folder.files)
        elif not recursive or above in whole:
            is_model = False
        owners[path] = path if is_model else above
        if is_model and is_whole:
            whole.add(path)
    models = {owner for owner in owners.values() if owner is not None}
    if len(models) < 2:
        return dict.fromkeys(folders, "")
    return owners


def _holds_weights(folder: _Folder) -> bool:
    names = folder.files
    return (
        "" in names
        or any(
            Path(name).suffix.lower() in EXTENSIONS | _FURTHER and not COMPANION.fullmatch(name)
            for name in names
        )
        or bool(groups.find(names))
    )


def _beside(
    root: Path,
    folders: dict[str, _Folder],
    paths: list[str],
    behind: Collection[str],
    tree: Tree,
) -> Iterator[str]:
    """Of what belongs to no model, the files that can be judged. behind: what links of models lead to."""
    real = os.path.realpath(root)
    for path in paths:
        folder, _, name = path.rpartition("/")
        place = os.path.join(real, path)
        if (target := folders[folder].links.get(name)) is not None:
            inside = target.startswith(f"{real}/") and Path(target).exists()
            reason = _LINK_INSIDE if inside else _LINK_OUTSIDE
            tree.left.setdefault(reason, []).append(path)
        elif os.path.realpath(place) in behind:
            continue  # a hub's cache: the file behind a link of a model, judged there
        elif not stat.S_ISREG(os.lstat(place).st_mode):
            tree.left.setdefault(_SPECIAL, []).append(path)
        else:
            yield path
