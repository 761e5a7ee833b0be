"""Which of the files that a hub lists are downloaded: what a load opens, and nothing twice.

Zone: controller. The names were chosen by whoever wrote the model; nothing here touches a disk.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.sources.weight_names import (
    COMPANION,
    EXTENSIONS,
    FIRST,
    LIST,
    LISTED,
    SIGNATURE,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: More names than this no hub shows on one page, and no load needs.
MAX_LISTED = 50_000
#: Files of one source that are downloaded at most, as inventory.MAX_FILES.
MAX_WANTED = 10_000
_MAX_NAME, _MAX_PATH = 255, 1024  # bytes
_MAX_DEPTH = 8
_MAX_TEXT, _MAX_CODE = 64 << 20, 1 << 20

#: What configurations, tokenizers and processors are made of.
_TEXT = frozenset(
    ".json .txt .jinja .model .tiktoken .vocab .bpe .py .yaml .yml .toml .cfg".split()
)
#: The same model once more, for another program.
_ELSEWHERE = frozenset(
    "onnx openvino coreml tflite tf_saved_model saved_model gguf original runs".split()
)
#: Files that say that the folders beside them are parts of the model.
_COMPOSITE = frozenset({"model_index.json", "modules.json"})
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Listed:
    """One file as the hub lists it. path: from the repository's root; size: bytes; sha256: of a file
    kept by LFS; blob: git's SHA-1 of the file, or of the pointer to it when there is a sha256."""

    path: str
    size: int
    blob: str
    sha256: str | None = None


@dataclass(frozen=True)
class Choice:
    """now: what to download; indexes: those among them that name further files; left: what stays."""

    now: tuple[Listed, ...]
    indexes: tuple[str, ...]
    left: tuple[Listed, ...]


def check(files: Iterable[Listed]) -> dict[str, Listed]:
    """The files by path. Raises NotLoadable for a listing that no honest repository has: names that
    leave the folder, cannot be shown or are too long, that come twice, or are file and folder."""
    found: dict[str, Listed] = {}
    for file in files:
        reason = _wrong(file.path)
        if reason is None and file.path in found:
            reason = "is listed twice"
        if reason is not None:
            raise NotLoadable(f"the hub lists {visible(file.path, 200)!r}, which {reason}")
        found[file.path] = file
    for path in found:
        for folder in PurePosixPath(path).parents:
            if str(folder) in found:
                raise NotLoadable(f"the hub lists {visible(str(folder), 200)!r} as file and folder")
    return found


def _wrong(path: str) -> str | None:
    parts = path.split("/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "is an absolute path"
    if "\\" in path or not path.isprintable():
        return "holds a backslash or an unprintable character"
    if ".." in parts or "." in parts or "" in parts:
        return "leaves the model's folder"
    if len(path.encode()) > _MAX_PATH or any(len(part.encode()) > _MAX_NAME for part in parts):
        return f"is longer than {_MAX_NAME} bytes"
    return None


def choose(
    files: Mapping[str, Listed],
    path: str = "",
    *,
    variant: str | None = None,
    use_safetensors: bool | None = None,
    weights: bool = True,
    every: bool = False,
) -> Choice:
    """What a load of `path` (a file, a folder, "" for all) opens: the weights that transformers would
    choose, configuration, tokenizer, and code, which is named in the report. variant and
    use_safetensors: as from_pretrained has them. weights: whether any are wanted. every: all files.
    Raises NotLoadable when there is no such path."""
    if path in files:
        return _checked(files, {path}, ())
    below = f"{path}/" if path else ""
    inside = [name for name in files if name.startswith(below)]
    if not inside:
        raise NotLoadable(f"the repository has no file or folder {visible(path)!r}")
    if every:
        return _checked(files, set(inside), ())
    folders: dict[str, list[str]] = {}
    for name in inside:
        folder, _, base = name.removeprefix(below).rpartition("/")
        folders.setdefault(folder, []).append(base)
    top = folders.get("", [])

    def chosen(folder: str) -> set[str]:
        return _weights(folders.get(folder, ()), variant, use_safetensors)

    opened = {"": chosen("")}
    others = [
        folder
        for folder in folders
        if folder and folder.count("/") < _MAX_DEPTH and not _skipped(folder)
    ]
    if _COMPOSITE & set(top) or not opened[""]:
        opened |= {folder: chosen(folder) for folder in others}
    wanted: set[str] = set()
    indexes = []
    for folder in ("", *others):
        start = below + (f"{folder}/" if folder else "")
        names = opened.get(folder, set()) if weights else set()
        wanted |= {start + name for name in names}
        indexes += [start + name for name in names if name.endswith(".json")]
        wanted |= {
            start + name
            for name in folders.get(folder, [])
            if _is_text(name, files[start + name].size, chosen=folder in opened)
        }
    return _checked(files, wanted, tuple(sorted(indexes)))


def shards(files: Mapping[str, Listed], index: str, named: Iterable[str]) -> tuple[Listed, ...]:
    """The files beside an index that it names and that are there. What it names besides, and where
    else it points, is the inventory's to tell."""
    folder = index.rpartition("/")[0]
    prefix = f"{folder}/" if folder else ""
    found = {prefix + name for name in named if "/" not in name and prefix + name in files}
    return _checked(files, found, ()).now


def _weights(names: Iterable[str], variant: str | None, use_safetensors: bool | None) -> set[str]:
    """The weight files, or the index of them, that a load of one folder opens."""
    there = {name for name in names if use_safetensors in (None, ".safetensors" in name)}
    chosen: set[str] = set()
    for candidates in FIRST:
        for candidate in _with_variant(candidates, variant):
            if candidate in there:
                chosen.add(candidate)
                break
    if chosen:
        return chosen
    unreferenced = {
        name
        for name in there
        if (PurePosixPath(name).suffix.lower() in EXTENSIONS and not COMPANION.fullmatch(name))
        or name == LIST
        or name.endswith(LISTED)
    }
    return {name for name in unreferenced if name.endswith(".safetensors")} or unreferenced


def _with_variant(candidates: Iterable[str], variant: str | None) -> Iterator[str]:
    """Each file and then its index: model.fp16.safetensors, model.safetensors.index.fp16.json."""
    insert = f".{variant}" if variant else ""
    for name in candidates:
        stem, _, extension = name.rpartition(".")
        yield f"{stem}{insert}.{extension}"
        yield f"{name}.index{insert}.json"


def _is_text(name: str, size: int, *, chosen: bool) -> bool:
    """Whether it is text that a load may read. Of a folder that is no part of the model, only code
    and chat templates."""
    extension = PurePosixPath(name).suffix.lower()
    if name == SIGNATURE:
        return chosen and size <= _MAX_TEXT
    # An index of weights that stay on the hub would name files that are not there.
    if ".index." in name and name.endswith(".json"):
        return False
    if extension == ".py":
        return size <= _MAX_CODE
    if extension == ".jinja" or chosen:
        return extension in _TEXT and size <= _MAX_TEXT
    return False


def _skipped(folder: str) -> bool:
    parts = folder.lower().split("/")
    return any(part in _ELSEWHERE or part.startswith((".", "checkpoint-")) for part in parts)


def _checked(files: Mapping[str, Listed], wanted: set[str], indexes: tuple[str, ...]) -> Choice:
    # A device of Windows would be opened there instead of the file.
    devices = {name for name in wanted if any(_DEVICE.fullmatch(part) for part in name.split("/"))}
    wanted = wanted - devices
    if len(wanted) > MAX_WANTED:
        raise NotLoadable(f"a load of it would need more than {MAX_WANTED:,} files")
    spelt: dict[str, str] = {}
    for name in sorted(wanted):
        other = spelt.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise NotLoadable(
                f"{visible(other)} and {visible(name)} are one file where case does not count"
            )
    return Choice(
        tuple(files[name] for name in sorted(wanted)),
        tuple(name for name in indexes if name in wanted),
        tuple(file for name, file in sorted(files.items()) if name not in wanted),
    )
