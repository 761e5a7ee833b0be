"""Where a fleet's files lie: by the SHA-256 of their content, and small records by name.

Zone: controller. `Objects` is the interface. A folder that all machines mount needs no further package; every other
place (S3, GCS, Azure) goes through fsspec. What is read is hashed on its way: a store that holds other bytes than
its address says gives an error, and no file.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from safe_load.core.errors import UsageError
from safe_load.core.hashing import open_regular
from safe_load.core.installed import need

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20
_DIGEST = re.compile("[0-9a-f]{64}")
_RECORD = re.compile(r"[a-z]{1,20}/[0-9a-f]{64}\.json")
_LARGEST_RECORD = 16 << 20
#: What brings the packages for other stores than a folder.
EXTRA = "safe-load[fleet]"


class StoreError(OSError):
    """A store holds something else than it says, or refuses."""


class Objects(Protocol):
    """Keeps bytes by their SHA-256, in hex, and records by name (KIND/SHA256.json). Methods raise OSError."""

    url: str

    def put(self, path: Path) -> str:
        """Keep a regular file. Returns its address; does nothing for bytes that are there already."""

    def get(self, address: str, target: Path) -> None:
        """Write the bytes of an address into a new file. Raises StoreError where they are others, and leaves no file."""

    def record(self, name: str, data: bytes) -> bool:
        """Keep a record, all of it or nothing, unless there is one of that name. Returns whether it is this one."""

    def recorded(self, name: str) -> bytes | None:
        """A record, None where there is none."""

    def forget(self, name: str) -> None:
        """Remove a record, if there is one."""


class Folder:
    """In a folder that every machine mounts; on one with rename and link, such as NFS or CephFS. root: made if need be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = f"file://{root}"
        for part in ("blobs", "new"):
            (root / part).mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, path: Path) -> str:
        new = self.root / "new" / secrets.token_hex(16)
        try:
            with new.open("xb") as target:
                address = _copied(path, target)
                target.flush()
                os.fsync(target.fileno())
            self._link(new, self.root / _blob(address))
        finally:
            new.unlink(missing_ok=True)
        return address

    def get(self, address: str, target: Path) -> None:
        with open(open_regular(self.root / _blob(address)), "rb") as source:
            _checked(source, address, target)

    def record(self, name: str, data: bytes) -> bool:
        new = self.root / "new" / secrets.token_hex(16)
        try:
            with new.open("xb") as target:
                target.write(data)
                target.flush()
                os.fsync(target.fileno())
            return self._link(new, self.root / _name(name))
        finally:
            new.unlink(missing_ok=True)

    def recorded(self, name: str) -> bytes | None:
        try:
            with open(open_regular(self.root / _name(name)), "rb") as source:
                return _bounded(source, name)
        except FileNotFoundError:
            return None

    def forget(self, name: str) -> None:
        (self.root / _name(name)).unlink(missing_ok=True)

    @staticmethod
    def _link(new: Path, place: Path) -> bool:
        """Have the file in that place too, unless one is there."""
        place.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            os.link(new, place)
        except FileExistsError:
            return False
        return True


class Remote:
    """In object storage, by fsspec. url: s3://BUCKET/PREFIX, gs://…, memory://…; credentials are those that its package finds."""

    def __init__(self, url: str) -> None:
        fsspec = need("fsspec", EXTRA)
        self.url = url
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"the store {url} cannot be used: {error}") from None

    def put(self, path: Path) -> str:
        with open(open_regular(path), "rb") as source:
            address = _hash(source, lambda _: None)
        place = f"{self._root}/{_blob(address)}"
        if not self._call(self._files.exists, place):
            self._call(self._files.put_file, str(path), place)
        return address

    def get(self, address: str, target: Path) -> None:
        with self._call(self._files.open, f"{self._root}/{_blob(address)}", "rb") as source:
            _checked(source, address, target)

    def record(self, name: str, data: bytes) -> bool:
        try:
            self._call(self._files.pipe_file, f"{self._root}/{_name(name)}", data, mode="create")
        except FileExistsError:
            return False
        return True

    def recorded(self, name: str) -> bytes | None:
        try:
            with self._call(self._files.open, f"{self._root}/{_name(name)}", "rb") as source:
                return _bounded(source, name)
        except FileNotFoundError:
            return None

    def forget(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._call(self._files.rm_file, f"{self._root}/{_name(name)}")

    @staticmethod
    def _call(act: Callable[..., Any], *given: object, **named: object) -> Any:
        try:
            return act(*given, **named)
        except OSError:
            raise
        except Exception as error:  # each store's package has errors of its own
            raise StoreError(f"the store failed: {type(error).__name__}: {error}") from error


def of(url: str) -> Objects:
    """The store that a URL names: file:///DIR, or one that fsspec knows. Raises UsageError."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/") or parts.path == "/":
            raise UsageError(f"{url!r} names no folder: write file:///DIR")
        try:
            return Folder(Path(parts.path))
        except OSError as error:
            raise UsageError(f"the store {url} cannot be used: {error.strerror}") from None
    if not parts.scheme or not (parts.netloc or parts.path.strip("/")):
        raise UsageError(f"{url!r} is no store: write file:///DIR or s3://BUCKET/PREFIX")
    return Remote(url.rstrip("/"))


def _blob(address: str) -> str:
    if not _DIGEST.fullmatch(address):
        raise StoreError(f"{address!r} is not an address")
    return f"blobs/{address[:2]}/{address}"


def _name(name: str) -> str:
    if not _RECORD.fullmatch(name):
        raise StoreError(f"{name!r} is not the name of a record")
    return name


def _hash(source: BinaryIO, then: Callable[[bytes], object]) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        then(chunk)
    return digest.hexdigest()


def _copied(path: Path, target: BinaryIO) -> str:
    with open(open_regular(path), "rb") as source:
        return _hash(source, target.write)


def _checked(source: BinaryIO, address: str, target: Path) -> None:
    """Copy what has this address, and nothing else."""
    try:
        with target.open("xb") as file:
            found = _hash(source, file.write)
        if found != address:
            raise StoreError(f"the store holds other bytes at {address}")
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _bounded(source: BinaryIO, name: str) -> bytes:
    data = source.read(_LARGEST_RECORD + 1)
    if len(data) > _LARGEST_RECORD:
        raise StoreError(f"the record {name} is larger than 16 MiB")
    return data
