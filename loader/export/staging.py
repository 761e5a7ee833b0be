"""An exported folder appears complete, by one rename, or not at all.

Zone: controller. Files are gathered in a hidden folder beside the target, which only its owner can
enter and which is locked while its process lives. Whatever ends the process, nothing half-done is
ever visible under the target's name; a hidden folder whose lock is gone is removed by the next
export beside it.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
from safe_load.core.atomic_files import make_hidden, remove_tree, sweep_folders
from safe_load.core.errors import LimitHit, UsageError
from safe_load.core.hashing import Hashes, hash_files
from safe_load.core.interrupts import held_back
from safe_load.core.report import Digests
from safe_load.export import copying, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from safe_load.core.hashing import Algorithm
    from safe_load.export.copying import Run

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Staging:
    """The folder in which one export is put together. Use it as a context manager:

        with Staging.create(target, expected=total_bytes) as staging:
            descriptor = staging.open_output("model.safetensors")
            ...
            staging.write("config.json", data)
            exported = staging.publish(head)

    Leaving the block without `publish`, or by a Ctrl-C, removes everything that was made.
    """

    def __init__(
        self,
        target: Path,
        path: Path,
        descriptor: int,
        made: list[Path],
        algorithms: tuple[Algorithm, ...],
    ) -> None:
        self.target = target
        self._algorithms = algorithms
        self.path = path
        self._descriptor = descriptor
        self._made = made
        self._outputs: dict[str, int] = {}
        self._digests: dict[str, tuple[int, int, Digests]] = {}
        self._filled: set[str] = set()
        self._published = False

    @classmethod
    def create(cls, target: Path, *, expected: int = 0, sha256: bool = False) -> Self:
        """Start an export to `target`, which must not exist or be an empty folder.

        expected: bytes that the export will take. sha256: the manifest has the SHA-256 of each file
        too. Raises UsageError when the target is taken, its
        folder cannot be written, or its file system has less space than expected.
        """
        with held_back():
            return cls._create(target, expected, ("blake3", "sha256") if sha256 else ("blake3",))

    @classmethod
    def _create(cls, target: Path, expected: int, algorithms: tuple[Algorithm, ...]) -> Self:
        target = Path(os.path.realpath(target))
        _check_free(target)
        made: list[Path] = []
        try:
            _make_parents(target.parent, made)
            sweep_folders(target.parent)
            space = os.statvfs(target.parent)
            if space.f_bavail * space.f_frsize < expected:
                raise UsageError(
                    f"{target.parent} has {space.f_bavail * space.f_frsize:,} bytes free, the export "
                    f"needs {expected:,}: make room, or choose another -o."
                )
            path, descriptor = make_hidden(target)
            return cls(target, path, descriptor, made, algorithms)
        except OSError as error:
            _remove_parents(made)
            raise UsageError(f"{target} cannot be written: {error.strerror}") from error
        except BaseException:
            _remove_parents(made)
            raise

    def open_output(self, name: str) -> int:
        """A descriptor, to read and write, on a new empty file. It belongs to the Staging, which
        closes it at the end. name: a plain relative path. Raises FileExistsError, LimitHit."""
        manifest.check_path(name)
        with _disk_full(self.target):
            if "/" in name:
                (self.path / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(name, _CREATE, 0o600, dir_fd=self._descriptor)
        self._outputs[name] = descriptor
        return descriptor

    def output(self, name: str) -> int:
        """The descriptor that `open_output` gave for this name."""
        return self._outputs[name]

    def discard(self, name: str) -> None:
        """Remove an output that turned out to be of no use."""
        os.close(self._outputs.pop(name))
        self._digests.pop(name, None)
        (self.path / name).unlink()

    def take_out(self, name: str) -> int:
        """Remove an output, whose descriptor is the caller's from now on."""
        descriptor = self._outputs.pop(name)
        self._digests.pop(name, None)
        (self.path / name).unlink()
        return descriptor

    def disk(self) -> AbstractContextManager[None]:
        """A block that writes to outputs: LimitHit says that the disk is full."""
        return _disk_full(self.target)

    def write(self, name: str, data: bytes) -> None:
        """Put a new file with this content beside the others. Raises as `open_output`."""
        view = memoryview(data)
        descriptor = self.open_output(name)
        with _disk_full(self.target):
            while view:
                view = view[os.write(descriptor, view) :]

    def fill(
        self,
        name: str,
        sources: Sequence[int],
        runs: Sequence[Run],
        progress: Callable[[int], None],
    ) -> None:
        """Copy into an output what is still missing in it, and hash it in the same pass. Raises as
        `copying.copy`, and LimitHit."""
        digest = Hashes(self._algorithms)
        with _disk_full(self.target):
            copying.copy(sources, self._outputs[name], runs, digest, progress)
        self._digests[name] = (*self._state(name), Digests(**digest.hex()))
        self._filled.add(name)

    def is_filled(self, name: str) -> bool:
        """Whether `fill` came to its end: until then, an output may hold nothing but zeros."""
        return name in self._filled

    def _digest_outputs(self) -> None:
        names = [name for name in self._outputs if name not in self._digests]
        found = hash_files({self.path / name: self._algorithms for name in names})
        for name in names:
            self._digests[name] = (*self._state(name), Digests(**found[self.path / name]))

    def _state(self, name: str) -> tuple[int, int]:
        """Size and time of the last change of an output."""
        status = os.fstat(self._outputs[name])
        return status.st_size, status.st_mtime_ns

    def publish(
        self,
        head: manifest.Manifest,
        *,
        durable: bool = True,
    ) -> list[manifest.FileEntry]:
        """Hash all files, add the manifest that lists them, and show the folder to the world.

        head: the manifest without its files. durable: also wait until all is on the disk. Returns every file of the folder. Raises
        UsageError when the target was taken meanwhile, LimitHit when the disk is full.
        """
        names = sorted(self._outputs)
        for name in names:
            if name in self._digests and self._digests[name][:2] != self._state(name):
                del self._digests[name]
        self._digest_outputs()
        entries = [
            manifest.FileEntry(name, self._digests[name][0], self._digests[name][2])
            for name in names
        ]
        data = manifest.encode(msgspec.structs.replace(head, files=entries))
        self.write(manifest.NAME, data)
        self._digest_outputs()
        self.show(durable=durable)
        return [
            *entries,
            manifest.FileEntry(manifest.NAME, len(data), self._digests[manifest.NAME][2]),
        ]

    def show(self, *, durable: bool = True) -> None:
        """Show the folder as it is, which already holds a manifest. Raises as `publish`."""
        self._open_to_readers(durable)
        with held_back():
            try:
                self.path.rename(self.target)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise _taken(self.target) from error
                raise UsageError(f"{self.target} cannot be written: {error.strerror}") from error
            self._published = True
        if durable:
            _sync(self.target.parent)

    def _open_to_readers(self, durable: bool) -> None:
        """Give files and folders the permissions that the user's umask would have given them."""
        allowed = ~_umask()
        folders = {self.path} | {
            self.path / parent for name in self._outputs for parent in Path(name).parents
        }
        with _disk_full(self.target):
            for descriptor in self._outputs.values():
                os.fchmod(descriptor, 0o644 & allowed)
                if durable:
                    os.fsync(descriptor)
            for folder in sorted(folders, reverse=True):
                folder.chmod(0o755 & allowed)
                if durable:
                    _sync(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with held_back():
            # Interrupted, a load leaves nothing, not even what was complete an instant ago.
            interrupted = isinstance(error, KeyboardInterrupt)
            if interrupted or not self._published:
                remove_tree(self.target if self._published else self.path)
                _remove_parents(self._made)
            for descriptor in self._outputs.values():
                os.close(descriptor)
            os.close(self._descriptor)


def index_json(weight_map: dict[str, str], total_size: int) -> bytes:
    """model.safetensors.index.json: which file holds each tensor. total_size: bytes of all."""
    index = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
    return msgspec.json.format(msgspec.json.encode(index, order="sorted"), indent=2) + b"\n"


def _taken(target: Path) -> UsageError:
    return UsageError(f"{target} exists and is not empty; choose another -o, or remove it.")


def _check_free(target: Path) -> None:
    try:
        with os.scandir(target) as entries:
            if any(entries):
                raise _taken(target)
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise UsageError(f"{target} is a file, or lies below one; choose another -o.") from error
    except OSError as error:
        raise UsageError(f"{target} cannot be read: {error.strerror}") from error


def _make_parents(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it; `made` grows by each, outermost first."""
    for path in reversed([folder, *folder.parents]):
        with suppress(FileExistsError):
            path.mkdir()
            made.append(path)


def _remove_parents(made: list[Path]) -> None:
    for path in reversed(made):
        # Another export may have put something there meanwhile: then it stays.
        with suppress(OSError):
            path.rmdir()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, _FOLDER)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's umask, read without changing it where /proc shows it (Linux 4.7)."""
    with suppress(FileNotFoundError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextmanager
def _disk_full(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LimitHit(
                f"{target.parent} is full: {error.strerror}. Nothing was exported."
            ) from error
        raise
