"""Is an exported folder still what was exported? Checked offline, without a sandbox.

Zone: controller.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.core.errors import NotLoadable
from safe_load.core.hashing import hash_files, open_regular
from safe_load.export import manifest, safetensors_check
from safe_load.export.publish import REPORT
from safe_load.worker.strict_json import Malformed, parse, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from safe_load.core.hashing import Algorithm

#: The kinds of text that an export holds: configuration, vocabularies and merges, templates.
_TEXTS = frozenset((".json", ".txt", ".codes", ".jinja"))
_MAX_TEXT = 512 << 20
_MAX_ITEMS = 20_000_000
#: Keys that make transformers run code of the folder or of a hub.
_CODE_KEYS = frozenset(("auto_map", "custom_pipelines", "trust_remote_code"))


_WRITTEN: dict[Algorithm, str] = {"blake3": "BLAKE3", "sha256": "SHA-256"}


@dataclass(frozen=True)
class Verification:
    """manifest: as the folder states it; problems: one sentence each, none when all is well."""

    folder: Path
    manifest: manifest.Manifest
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(
    folder: Path,
    *,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    beside: Container[str] = (),
) -> Verification:
    """Compare a folder with the manifest in it.

    Every file of the manifest must be there, regular, with that size and all digests that the manifest
    states; nothing else may be there but regular files named in `beside`, which the caller checks; each
    safetensors file must pass the strict check. threads,
    progress: as for `hashing.hash_files`. Raises NotLoadable when there is no readable manifest in the folder.
    """
    stated = _read_manifest(folder)
    problems: list[str] = []
    expected = {entry.path: entry for entry in stated.files}
    folders = {parent.as_posix() for path in expected for parent in Path(path).parents} - {"."}
    sizes: dict[str, int] = {}
    for path, state in walk(folder):
        if stat.S_ISDIR(state.st_mode):
            if path not in folders:
                problems.append(f"{shown(path)} is a folder that is not in the manifest")
        elif path not in expected and path != manifest.NAME and path not in beside:
            problems.append(f"{shown(path)} is not in the manifest")
        elif not stat.S_ISREG(state.st_mode):
            problems.append(f"{shown(path)} is not a regular file")
        else:
            sizes[path] = state.st_size
    same_size: list[Path] = []
    for path, entry in expected.items():
        size = sizes.get(path)
        if size is None:
            problems.append(f"{shown(path)} is missing, or not a regular file")
        elif size != entry.size:
            problems.append(f"{shown(path)} has {size:,} bytes, the manifest says {entry.size:,}")
        else:
            same_size.append(folder / path)
    try:
        stated_of = {
            folder / path: msgspec.to_builtins(entry.digests) for path, entry in expected.items()
        }
        found = hash_files({path: stated_of[path] for path in same_size}, threads, progress)
    except OSError as error:
        raise NotLoadable(f"{folder} cannot be verified: {error}") from error
    for full_path, digests in found.items():
        other = [
            _WRITTEN[name]
            for name, digest in digests.items()
            if digest != stated_of[full_path][name]
        ]
        if other:
            path = full_path.relative_to(folder).as_posix()
            problems.append(
                f"{shown(path)} has another {' and '.join(other)} than the manifest says"
            )
    for full_path in same_size:
        try:
            _require_exportable(full_path, full_path.relative_to(folder).as_posix())
        except (Malformed, OSError) as error:
            problems.append(str(error))
    return Verification(folder, stated, tuple(problems))


def _require_exportable(path: Path, where: str) -> None:
    """A file of a kind that an export holds: safetensors, JSON that asks for no code, or plain text.

    A manifest states digests of whatever its writer liked, so no digest makes a file harmless. Raises
    Malformed or OSError.
    """
    suffix = path.suffix
    if suffix == ".safetensors":
        safetensors_check.check(path, where=where)
        return
    if suffix not in _TEXTS:
        raise Malformed(f"{shown(where)} is a kind of file that no cleared copy holds")
    with open(open_regular(path), "rb") as file:
        data = file.read(_MAX_TEXT + 1)
    if len(data) > _MAX_TEXT:
        raise Malformed(f"{shown(where)} has more than {_MAX_TEXT:,} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{shown(where)} is not text in UTF-8: {error.reason}") from error
    if "\0" in text:
        raise Malformed(f"{shown(where)} is not text: it holds a zero byte")
    if suffix == ".json":
        value = parse(
            data,
            where=where,
            max_bytes=_MAX_TEXT,
            max_string=_MAX_TEXT,
            max_items=_MAX_ITEMS,
            allow_nonfinite=True,
        )
        if path.name != REPORT and (key := _asks_for_code(value)) is not None:
            raise Malformed(f"{shown(where)} has the key {shown(key)}, which no cleared copy has")


def _asks_for_code(value: object) -> str | None:
    """A key, at any depth, by which a configuration names code to be run."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            for key in _CODE_KEYS & item.keys():
                return str(key)
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return None


def _read_manifest(folder: Path) -> manifest.Manifest:
    try:
        with open(open_regular(folder / manifest.NAME), "rb") as file:
            data = file.read(manifest.MAX_BYTES + 1)
    except OSError as error:
        reason = (
            "the file is missing. `safe-load load` writes it into its copies; `safe-load scan` judges other folders"
            if isinstance(error, FileNotFoundError)
            else f"{error}."
        )
        raise NotLoadable(
            f"{folder} has no readable {manifest.NAME} to verify it against: {reason}"
        ) from error
    try:
        return manifest.decode(data, where=str(folder / manifest.NAME))
    except Malformed as error:
        raise NotLoadable(str(error)) from error


def walk(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder, links not followed: the relative path and its lstat."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        with os.scandir(top / inside) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                state = entry.stat(follow_symlinks=False)
                path = f"{inside}/{entry.name}" if inside else entry.name
                yield path, state
                if stat.S_ISDIR(state.st_mode):
                    waiting.append(path)
