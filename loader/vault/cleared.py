"""Clear a model once: from the vault when these bytes were cleared by this policy before.

Zone: controller. Answers `safe_load.clear`. What is opened, and how, is `pipeline`'s; what is kept,
and whether it is still what it was, is the vault's.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from safe_load import hub, inventory
from safe_load.clearing import REPORT
from safe_load.errors import LimitHit, NotLoadable, SandboxError, UsageError
from safe_load.formats.escape import visible
from safe_load.options import Options, Progress
from safe_load.profiles.units import format_size, parse_size
from safe_load.report import Report, Source, decode
from safe_load.sandbox.backends.interface import Backend, BackendError
from safe_load.vault import clearance
from safe_load.vault.entries import Seal, Vault
from safe_load.vault.source_index import require_unchanged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from safe_load.inventory import Inventory
    from safe_load.vault.source_index import Signature

Watcher = Callable[[Progress], None]
#: Loads a source into a folder, as `pipeline.load` does; raises where nothing was exported.
Load = Callable[[str | hub.Snapshot, Path, Options], Report]

#: Bytes that the vault may hold when SAFE_LOAD_CACHE_SIZE does not say.
DEFAULT_SIZE = 100 << 30
#: Seconds beyond the time that one load may take.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Cleared:
    """path: the cleared folder; fresh: whether it was made just now; source: what was asked for."""

    path: Path
    seal: Seal
    fresh: bool
    source: Source

    @cached_property
    def report(self) -> Report:
        """The report of the load that made it; says so when that was an earlier one."""
        report = decode((self.path / REPORT).read_bytes())
        if self.fresh:
            return report
        note = f"From the vault: cleared on {self.seal.created}, and not opened again."
        return msgspec.structs.replace(report, source=self.source, notes=[note, *report.notes])


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder: $SAFE_LOAD_HOME, $XDG_CACHE_HOME/safe-load, ~/.cache/safe-load.
    Raises UsageError where there is no home."""
    if chosen := environ.get("SAFE_LOAD_HOME"):
        return Path(os.path.realpath(chosen))
    caches = Path(environ.get("XDG_CACHE_HOME", ""))
    # The specification of base directories: a relative path is to be ignored.
    try:
        folder = caches if caches.is_absolute() else Path("~/.cache").expanduser()
    except RuntimeError as error:
        raise UsageError(
            "there is no home folder to keep cleared models in: name a folder with SAFE_LOAD_HOME"
        ) from error
    return Path(os.path.realpath(folder / "safe-load"))


def size_limit(environ: Mapping[str, str] = os.environ) -> int:
    """Bytes that the vault may hold. Raises UsageError."""
    text = environ.get("SAFE_LOAD_CACHE_SIZE")
    try:
        return parse_size(text) if text else DEFAULT_SIZE
    except ValueError as error:
        raise UsageError(f"SAFE_LOAD_CACHE_SIZE: {error}") from None


def clear(
    source: str | hub.Snapshot,
    options: Options,
    load: Load,
    backend: Backend,
    *,
    refresh: bool = False,
    verify: bool = False,
    progress: Watcher | None = None,
) -> Cleared:
    """The cleared folder of a source: the vault's, or a new one.

    backend: what `load` opens it with. refresh: make it anew, whatever is there. verify: believe no times, hash source and entry. Raises
    as `load` does, NotLoadable for an entry that was changed, UsageError for a vault that cannot be
    used.
    """
    if options.export_despite_findings or options.record == "full":
        raise UsageError(
            "the vault keeps only what was not rejected, and does not open again what it knows: "
            "use load() for export_despite_findings and record='full'"
        )
    limit = size_limit()
    options = replace(options, hash=True)
    vault = Vault(home())
    tell = progress or (lambda _: None)
    if isinstance(source, str) and hub.is_name(source):
        source = fetch(
            hub.parse(source),
            vault,
            trust=not verify,
            tell=tell,
            variant=options.variant,
            use_safetensors=options.use_safetensors,
            every=options.all_files,
        )
    stock, known = _known(source, options, vault, trust=not verify, tell=tell)
    digests = {place: digest for place, (_, digest) in known.items()}
    try:
        policy = clearance.policy(options, backend, vault.sources)
    except BackendError as error:
        raise SandboxError(str(error)) from error
    key = clearance.key(stock, digests, policy)
    fresh = False
    with _told(vault):
        seal = None if refresh else vault.use(key, verify=verify)
    if seal is None:
        waiting = _Waiting(tell)
        with vault.making(key, waiting, backend.profile.limits.timeout + _PATIENCE):
            waiting.end()
            with _told(vault):  # it may have been made while we waited
                seal = None if refresh else vault.use(key, verify=verify)
            if seal is None:
                seal = _make(vault, key, source, stock, known, options, load)
                fresh = True
    if fresh:
        with suppress(OSError):  # what cannot be removed now does not spoil what was made
            vault.prune(max_bytes=limit)
    commit = source.commit if isinstance(source, hub.Snapshot) else None
    return Cleared(vault.place(key), seal, fresh, Source(stock.source, commit))


def fetch(
    name: hub.Name, vault: Vault, *, trust: bool = True, tell: Watcher | None = None, **choice: Any
) -> hub.Snapshot:
    """As hub.fetch, of files that the vault may know the hashes of. choice: its further arguments."""

    def known(places: Collection[Path]) -> dict[Path, str]:
        found = vault.sources.digests(f"{name} on a hub", places, trust=trust)
        return {place: digest for place, (_, digest) in found.items()}

    tell = tell or (lambda _: None)
    tell(Progress("fetch", "start"))
    try:
        return hub.fetch(
            name,
            progress=lambda done, total: tell(Progress("fetch", "progress", done, total)),
            sha256=known,
            **choice,
        )
    finally:
        tell(Progress("fetch", "end"))


_KnownFiles = dict[Path, tuple["Signature", str]]


def _known(
    source: str | hub.Snapshot, options: Options, vault: Vault, *, trust: bool, tell: Watcher
) -> tuple[Inventory, _KnownFiles]:
    tell(Progress("inventory", "start"))
    if isinstance(source, hub.Snapshot):
        place = source.path
        stock = inventory.take(str(source.name), place, source.files, options)
    else:
        place = Path(source)
        stock = inventory.take(source, options=options)
    total = sum(entry.size for entry in stock.entries)
    done, shown = 0, time.monotonic()

    def count(size: int) -> None:
        nonlocal done, shown
        done += size
        if time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            tell(Progress("inventory", "progress", done, total))

    places = {entry.place for entry in stock.entries}
    known = vault.sources.digests(os.path.realpath(place), places, trust=trust, progress=count)
    for entry in stock.entries:
        found, _ = known[entry.place]
        if (found.device, found.inode, found.size) != (*entry.identity, entry.size):
            raise NotLoadable(f"{visible(entry.path)} was changed while it was read")
    tell(Progress("inventory", "end"))
    return stock, known


def _make(
    vault: Vault,
    key: str,
    source: str | hub.Snapshot,
    stock: Inventory,
    known: _KnownFiles,
    options: Options,
    load: Load,
) -> Seal:
    needed = sum(entry.size for entry in stock.weights)
    space = os.statvfs(vault.home)
    free = space.f_bavail * space.f_frsize
    if free < needed:
        raise UsageError(
            f"the cache folder {vault.home} has {format_size(free)} free, the cleared copy needs "
            f"{format_size(needed)}: `safe-load cache prune` makes room, SAFE_LOAD_HOME names another"
        )
    with _told(vault):
        vault.remove(key)
    report = load(source, vault.place(key), options)
    # The key was made of what was hashed before; it must be what the load itself has hashed, and
    # nothing may have changed from then to now: other bytes would be cleared in these bytes' name.
    expected = {entry.path: known[entry.place][1] for entry in stock.entries}
    try:
        if {file.path: file.sha256 for file in report.files} != expected:
            raise NotLoadable(f"{stock.source} was changed while it was opened")
        require_unchanged({place: found for place, (found, _) in known.items()})
    except NotLoadable:
        vault.remove(key)
        raise
    with _told(vault):
        vault.seal(key, report)
        seal = vault.use(key)
    if seal is None:
        raise SandboxError(f"the cleared copy {vault.place(key)} is not what was just put there")
    return seal


@contextmanager
def _told(vault: Vault) -> Iterator[None]:
    """A cache folder that fails is the user's to repair: say so in a sentence."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = LimitHit if full else UsageError
        raise kind(
            f"the cache folder {vault.home} cannot be used: {error.strerror}; "
            "`safe-load cache prune` makes room, SAFE_LOAD_HOME names another"
        ) from error


class _Waiting:
    """Tells once that another process is waited for, and once that the wait is over."""

    def __init__(self, tell: Watcher) -> None:
        self._tell = tell
        self._told = False

    def __call__(self) -> None:
        if not self._told:
            self._tell(Progress("wait", "start"))
            self._told = True

    def end(self) -> None:
        if self._told:
            self._tell(Progress("wait", "end"))
