"""Cleared folders by their content, the reports of models, and where they are kept.

Zone: controller. A folder is checked against its manifest before it is kept, and nothing of it is changed after that.
`ContentStore` is the interface: `LocalContent` keeps whole folders on a disk of this machine; `SharedContent` keeps
files in a store of safe_load.fleet.objects, which several gateways may use, and on this machine what was served last.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
from typing import TYPE_CHECKING, Protocol

import msgspec
from safe_load.core.atomic_files import remove_tree
from safe_load.core.errors import NotLoadable
from safe_load.core.hashing import sha256_files
from safe_load.export import manifest
from safe_load.export.verify import verify
from safe_load.fleet.objects import StoreError
from safe_load.gateway.kept import Kept
from safe_load.gateway.records import File

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from io import FileIO
    from pathlib import Path

    from safe_load.fleet.objects import Objects

_ADDRESS = re.compile("[0-9a-f]{64}")
_REPORT_NAME = re.compile(r"[0-9a-f]{32}(?:[0-9a-f]{32})?\.json")


class ContentStore(Protocol):
    """Keeps cleared folders and reports. The address of a folder is the SHA-256, in hex, of its listing."""

    #: What lies on this machine.
    kept: Kept

    def publish(self, folder: Path) -> tuple[str, Sequence[File]]:
        """Take a cleared folder over. Returns its address and its files, once all of it is kept.

        Raises:
            NotLoadable: The folder is not what its manifest says.
            OSError: There is no room for it, or no way to it.
        """

    def gone(self, content: str) -> bool:
        """Whether a folder had to make room, so that it has to be cleared again."""

    def here(self, file: File) -> bool:
        """Whether a file of a folder can be opened at once."""

    def fetch(self, file: File) -> None:
        """Have a file here that is kept elsewhere. Takes its time. Raises OSError."""

    def open(self, content: str, file: File) -> FileIO:
        """One file of a folder that is here, for reading at any place of it. Raises OSError."""

    def keep_report(self, path: Path) -> str:
        """Take a report over. Returns its name. Raises OSError."""

    def report(self, name: str) -> bytes:
        """The report of that name. Raises OSError."""

    def spare(self, count: int) -> None:
        """Let so many bytes on this machine go, of what is kept elsewhere too. The disk is full."""

    def sweep(self, contents: Collection[str], reports: Collection[str]) -> None:
        """Remove from this machine what a gateway that was killed left: what is not among these. Called first."""


class LocalContent:
    """On a disk of this machine. data: the gateway's folder; limit: bytes of cleared folders."""

    def __init__(self, data: Path, limit: int | None = None) -> None:
        self.kept = Kept(limit)
        self._home, self._reports = data / "content", data / "reports"
        for home in (self._home, self._reports):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def publish(self, folder: Path) -> tuple[str, Sequence[File]]:
        content, files = _listed(folder)
        place = self._place(content)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        if place.exists():  # the same digests: the same bytes
            remove_tree(folder)
        else:
            folder.rename(place)
        for changed in (place.parent, self._home):
            _flush(changed)
        self.kept.add(place)
        return content, files

    def gone(self, content: str) -> bool:
        return self._place(content) not in self.kept

    def here(self, file: File) -> bool:  # noqa: ARG002 - the interface's
        return True

    def fetch(self, file: File) -> None:  # noqa: ARG002
        return

    def open(self, content: str, file: File) -> FileIO:
        place = self._place(content)
        return self.kept.open(place, place / manifest.check_path(file.path))

    def keep_report(self, path: Path) -> str:
        name = f"{secrets.token_hex(16)}.json"
        path.replace(self._reports / name)
        return name

    def report(self, name: str) -> bytes:
        return (self._reports / _named(name)).read_bytes()

    def spare(self, count: int) -> None:  # noqa: ARG002 - nothing is kept elsewhere
        return

    def sweep(self, contents: Collection[str], reports: Collection[str]) -> None:
        places = list(self._home.glob("??/*"))
        for path in places:
            if path.name not in contents:
                remove_tree(path)
        for path in self._reports.glob("*.json"):
            if path.name not in reports:
                path.unlink(missing_ok=True)
        self.kept.find(path for path in places if path.name in contents)

    def _place(self, content: str) -> Path:
        if not _ADDRESS.fullmatch(content):
            raise OSError(f"{content!r} is not the address of a cleared folder")
        return self._home / content[:2] / content


class SharedContent:
    """In a store, file by file; on this machine lies what was served last. data: the gateway's folder; limit: bytes of
    that. The store only grows: it is never told to remove anything."""

    def __init__(self, data: Path, objects: Objects, limit: int | None = None) -> None:
        self.kept = Kept(limit)
        self._objects = objects
        self._home, self._new = data / "cache", data / "cache" / "new"
        self._new.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fetching: dict[str, threading.Lock] = {}

    def publish(self, folder: Path) -> tuple[str, Sequence[File]]:
        content, files = _listed(folder)
        for file in files:
            if self._objects.put(folder / file.path) != file.sha256:
                raise StoreError(f"{file.path} changed while it was written to the store")
        for file in files:
            self._take(folder / file.path, file.sha256)
        remove_tree(folder)
        return content, files

    def gone(self, content: str) -> bool:  # noqa: ARG002 - the interface's
        return False

    def here(self, file: File) -> bool:
        return self._place(file.sha256) in self.kept

    def fetch(self, file: File) -> None:
        self._bring(file.sha256)

    def open(self, content: str, file: File) -> FileIO:  # noqa: ARG002
        place = self._place(file.sha256)
        return self.kept.open(place, place)

    def keep_report(self, path: Path) -> str:
        return f"{self._objects.put(path)}.json"

    def report(self, name: str) -> bytes:
        address = _named(name).removesuffix(".json")
        self._bring(address)
        place = self._place(address)
        with self.kept.open(place, place) as file:
            return file.readall()

    def spare(self, count: int) -> None:
        self.kept.spare(count)

    def sweep(self, contents: Collection[str], reports: Collection[str]) -> None:  # noqa: ARG002
        for path in self._new.iterdir():
            path.unlink()
        found = [path for path in self._home.glob("??/*") if _ADDRESS.fullmatch(path.name)]
        for path in set(self._home.glob("??/*")) - set(found):
            path.unlink()
        self.kept.find(found)

    def _bring(self, address: str) -> None:
        with self._fetching.setdefault(address, threading.Lock()):  # one download for all who ask
            if self._place(address) in self.kept:
                return
            new = self._new / secrets.token_hex(16)
            try:
                self._objects.get(address, new)
                self._take(new, address)
            finally:
                new.unlink(missing_ok=True)
        self._fetching.pop(address, None)

    def _take(self, path: Path, address: str) -> None:
        place = self._place(address)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        _flush(path)  # a name stands for all of its bytes, also after the power failed
        path.replace(place)
        self.kept.add(place)

    def _place(self, address: str) -> Path:
        if not _ADDRESS.fullmatch(address):
            raise OSError(f"{address!r} is not the address of a cleared file")
        return self._home / address[:2] / address


def _listed(folder: Path) -> tuple[str, list[File]]:
    """The address and the files of a cleared folder, which is what its manifest says."""
    checked = verify(folder)
    if not checked.ok:
        raise NotLoadable(f"the cleared copy is not what its manifest says: {checked.problems[0]}")
    own = folder / manifest.NAME
    digest = sha256_files([own])[own]
    files = [File(manifest.NAME, own.stat().st_size, digest)]
    for entry in checked.manifest.files:
        if entry.digests.sha256 is None:
            raise NotLoadable(
                f"the manifest of the cleared copy lacks the SHA-256 of {entry.path!r}"
            )
        files.append(File(entry.path, entry.size, entry.digests.sha256))
    files.sort(key=lambda file: file.path)
    listing = msgspec.json.encode([(file.path, file.size, file.sha256) for file in files])
    return hashlib.sha256(listing).hexdigest(), files


def _named(name: str) -> str:
    if not _REPORT_NAME.fullmatch(name):
        raise OSError(f"{name!r} is not the name of a report")
    return name


def free(folder: Path) -> int:
    """Bytes of the disk that this user may still write."""
    return shutil.disk_usage(folder).free


def _flush(path: Path) -> None:
    """Have a file, or the renames in a folder, on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
