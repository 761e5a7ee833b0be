"""Is an exported folder still what was exported? Checked offline, without a sandbox.

Zone: controller.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load import manifest, safetensors_file
from safe_load.errors import NotLoadable
from safe_load.hashing import open_regular, sha256_files
from safe_load.json_strict import Malformed, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    folder: Path, *, threads: int | None = None, progress: Callable[[int], None] | None = None
) -> Verification:
    """Compare a folder with the manifest in it.

    Every file of the manifest must be there, regular, with that size and SHA-256; nothing else may
    be there; each safetensors file must pass the strict check. threads, progress: as for
    `hashing.sha256_files`. Raises NotLoadable when there is no readable manifest in the folder.
    """
    stated = _read_manifest(folder)
    problems: list[str] = []
    expected = {entry.path: entry for entry in stated.files}
    folders = {parent.as_posix() for path in expected for parent in Path(path).parents} - {"."}
    sizes: dict[str, int] = {}
    for path, state in walk(folder):
        if stat.S_ISDIR(state.st_mode):
            if path not in folders:
                problems.append(f"{shown(path)} is a folder that the manifest does not know")
        elif path not in expected and path != manifest.NAME:
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
        digests = sha256_files(same_size, threads, progress)
    except OSError as error:
        raise NotLoadable(f"{folder} cannot be verified: {error}") from error
    for full_path, digest in digests.items():
        path = full_path.relative_to(folder).as_posix()
        if digest != expected[path].sha256:
            problems.append(f"{shown(path)} has another SHA-256 than the manifest says")
    for full_path in same_size:
        if full_path.name.endswith(".safetensors"):
            try:
                safetensors_file.check(full_path, where=full_path.relative_to(folder).as_posix())
            except (Malformed, OSError) as error:
                problems.append(str(error))
    return Verification(folder, stated, tuple(problems))


def _read_manifest(folder: Path) -> manifest.Manifest:
    try:
        with open(open_regular(folder / manifest.NAME), "rb") as file:
            data = file.read(manifest.MAX_BYTES + 1)
    except OSError as error:
        reason = "there is none" if isinstance(error, FileNotFoundError) else str(error)
        raise NotLoadable(f"{folder} has no manifest to verify it against: {reason}.") from error
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
