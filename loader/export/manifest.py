"""The manifest of an exported folder: which files it holds, what they were made from, by what.

Zone: controller. A manifest that is read back may have been changed by anyone, so reading is
bounded and every path in it is checked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import msgspec
from safe_load.core import typed
from safe_load.core.report import Digests, Source, Tool  # noqa: TC002 (msgspec reads them)
from safe_load.worker.strict_json import Malformed, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "safe-load.manifest.json"
SCHEMA = "safe-load/manifest/1"
MAX_BYTES = 64 << 20
MAX_FILES = 100_000

_DIGEST = re.compile("[0-9a-f]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class SourceEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the source. path: relative, with slashes; size in bytes; sha256 in hex."""

    path: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One exported file. path: relative, with slashes; size in bytes."""

    path: str
    size: Annotated[int, msgspec.Meta(ge=0)]
    digests: Digests


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """tool: what exported; policy: the profile's name; source: what was loaded; sources: its files;
    files: the exported files, all but the manifest; created: UTC, ISO 8601."""

    schema: str = SCHEMA
    tool: Tool
    policy: str
    source: Source
    sources: list[SourceEntry]
    files: list[FileEntry]
    created: str


def encode(manifest: Manifest) -> bytes:
    """The manifest as indented JSON with a final newline. Raises Malformed for a bad path."""
    _check(manifest, NAME)
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(data: bytes, *, where: str = NAME) -> Manifest:
    """Read a manifest back. Raises Malformed when it is not one."""
    if len(data) > MAX_BYTES:
        raise Malformed(f"{where}: more than {MAX_BYTES:,} bytes")
    try:
        manifest = typed.decode(data, Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"{where}: not a manifest of safe-load: {error}") from None
    if manifest.schema != SCHEMA:
        raise Malformed(f"{where}: its schema is {shown(manifest.schema)}, not {SCHEMA!r}")
    _check(manifest, where)
    return manifest


def check_path(path: str) -> str:
    """The path, when it is a plain relative one: no "..", no empty part, nothing unprintable.

    Raises Malformed.
    """
    parts = path.split("/")
    if "" in parts or "." in parts or ".." in parts or len(path) > 4096:
        raise Malformed(f"{shown(path)} is not a plain relative path")
    if _CONTROL.search(path) or "\\" in path:
        raise Malformed(f"the path {shown(path)} holds a control character or a backslash")
    return path


def _check(manifest: Manifest, where: str) -> None:
    listed: tuple[Sequence[SourceEntry | FileEntry], ...] = (manifest.sources, manifest.files)
    for entries in listed:
        if len(entries) > MAX_FILES:
            raise Malformed(f"{where}: more than {MAX_FILES:,} files")
        seen: set[str] = set()
        for entry in entries:
            try:
                check_path(entry.path)
            except Malformed as error:
                raise Malformed(f"{where}: {error}") from None
            if entry.path in seen:
                raise Malformed(f"{where}: {shown(entry.path)} is listed twice")
            seen.add(entry.path)
    for file in manifest.files:
        for digest in (file.digests.blake3, file.digests.sha256):
            if digest is not None and not _DIGEST.fullmatch(digest):
                raise Malformed(f"{where}: {shown(file.path)} has a malformed digest")
