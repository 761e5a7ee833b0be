"""Clear a model once: from the cache when these bytes were cleared by this policy before.

Zone: controller. Answers `safe_load.clear`. What is opened, and how, is `pipeline`'s; what is kept,
and whether it is still what it was, is the cache's.
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
from safe_load.advisories import judge as advisories
from safe_load.attest import trust
from safe_load.cache import cache_key
from safe_load.cache.entries import Cache, Seal
from safe_load.cache.source_index import require_unchanged
from safe_load.core.errors import LimitHit, NotLoadable, SandboxError, UsageError
from safe_load.core.escape import visible
from safe_load.core.options import Options, Progress
from safe_load.core.ownership import doubt
from safe_load.core.report import Report, decode
from safe_load.core.units import format_size, parse_size
from safe_load.export.publish import REPORT
from safe_load.judge import files
from safe_load.judge.threshold import counts
from safe_load.provenance import origin as origins
from safe_load.provenance.origin import ORIGIN, Origin
from safe_load.sandbox.backends.interface import Backend, BackendError
from safe_load.sources import hub, inventory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from safe_load.cache.source_index import Signature
    from safe_load.sources.inventory import Inventory

Watcher = Callable[[Progress], None]
#: Loads a source into a folder, as `pipeline.load` does; raises where nothing was exported.
Load = Callable[[str | hub.Snapshot, Path, Options], Report]

#: Bytes that the cache may hold when SAFE_LOAD_CACHE_SIZE does not say.
DEFAULT_SIZE = 100 << 30
#: Seconds beyond the time that one load may take.
_PATIENCE = 60.0


@dataclass(frozen=True)
class Cleared:
    """path: the cleared folder; fresh: whether it was made just now; origin: of what was asked for."""

    path: Path
    seal: Seal
    fresh: bool
    origin: Origin

    @cached_property
    def report(self) -> Report:
        """The report of the load that made it; says so when that was an earlier one."""
        report = decode((self.path / REPORT).read_bytes())
        if self.fresh:
            return report
        note = f"From the cache: cleared on {self.seal.created}, and not opened again."
        # What is found about the origin is about the name under which these bytes were asked for now.
        others = [each for each in report.findings if each.id not in ORIGIN]
        return msgspec.structs.replace(
            report,
            source=self.origin.source,
            findings=[*self.origin.findings, *others],
            notes=[note, *self.origin.notes, *report.notes],
        )


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's cache folder: $SAFE_LOAD_HOME, $XDG_CACHE_HOME/safe-load, ~/.cache/safe-load.
    Raises UsageError where there is no home, and where somebody else could put another folder in its
    place."""
    if chosen := environ.get("SAFE_LOAD_HOME"):
        return _trusted(Path(chosen))
    caches = Path(environ.get("XDG_CACHE_HOME", ""))
    # The specification of base directories: a relative path is to be ignored.
    try:
        folder = caches if caches.is_absolute() else Path("~/.cache").expanduser()
    except RuntimeError as error:
        raise UsageError(
            "there is no home folder for the cache of cleared copies: set SAFE_LOAD_HOME to a folder"
        ) from error
    return _trusted(folder / "safe-load")


def _trusted(folder: Path) -> Path:
    try:
        reason = doubt(folder)
    except OSError as error:
        reason = f"the folder cannot be inspected ({error.strerror})"
    if reason is not None:
        raise UsageError(
            f"the cache folder {visible(str(folder))} is refused, because {visible(reason)}: "
            "run chmod go-w on it, or set SAFE_LOAD_HOME to another folder"
        )
    return Path(os.path.realpath(folder))


def size_limit(environ: Mapping[str, str] = os.environ) -> int:
    """Bytes that the cache may hold. Raises UsageError."""
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
    """The cleared folder of a source: the cache's, or a new one.

    backend: what `load` opens it with. refresh: make it anew, whatever is there. verify: believe no times, hash source and entry. Raises
    as `load` does, NotLoadable for an entry that was changed, UsageError for a cache that cannot be
    used.
    """
    if options.export_despite_findings or options.record == "full":
        raise UsageError(
            "the cache keeps no rejected model and opens no known model again: "
            "for export_despite_findings or record='full', use safe_load.load()"
        )
    limit = size_limit()
    options = replace(options, hash=True)
    cache = Cache(home())
    tell = progress or (lambda _: None)
    if isinstance(source, str) and hub.is_name(source):
        source = fetch(
            hub.parse(source),
            cache,
            trust=not verify,
            tell=tell,
            variant=options.variant,
            use_safetensors=options.use_safetensors,
            every=options.all_files,
        )
    listed, known = _known(source, options, cache, trust=not verify, tell=tell)
    digests = {place: digest for place, (_, digest) in known.items()}
    try:
        policy = cache_key.policy(options, backend, cache.sources)
    except BackendError as error:
        raise SandboxError(str(error)) from error
    origin = _origin(source, listed.source, options)
    names = origins.names(origin.repository, origin.source)
    # Who gives these bytes is part of the key only as far as their signature hangs on it: what else speaks against that is
    # for the load to tell.
    published = names if isinstance(source, hub.Snapshot) else ()
    key = cache_key.key(
        listed, digests, policy | {"signers": trust.bound(options.trust, published)}
    )
    fresh = False
    threshold = options.fail_on or backend.profile.fail_on
    _, known_bad = advisories.judge(
        {entry.path: known[entry.place][1] for entry in listed.entries}, *names
    )
    refresh = refresh or any(counts(each, threshold) for each in (*origin.findings, *known_bad))
    with _told(cache):
        seal = None if refresh else cache.use(key, verify=verify)
    if seal is None:
        waiting = _Waiting(tell)
        with cache.making(key, waiting, backend.profile.limits.timeout + _PATIENCE):
            waiting.end()
            with _told(cache):  # it may have been made while we waited
                seal = None if refresh else cache.use(key, verify=verify)
            if seal is None:
                seal = _make(cache, key, source, listed, known, options, load)
                fresh = True
    if fresh:
        with suppress(OSError):  # what cannot be removed now does not spoil what was made
            cache.prune(max_bytes=limit)
    return Cleared(cache.place(key), seal, fresh, origin)


def _origin(source: str | hub.Snapshot, name: str, options: Options) -> Origin:
    """What is known, and found, about where the source comes from."""
    if not isinstance(source, hub.Snapshot):
        return origins.of(name, None, options)
    found = origins.of(name, source, options)
    return replace(found, findings=(*found.findings, *files.provenance(source)))


def fetch(
    name: hub.Name, cache: Cache, *, trust: bool = True, tell: Watcher | None = None, **choice: Any
) -> hub.Snapshot:
    """As hub.fetch, of files that the cache may know the hashes of. choice: its further arguments."""

    def known(places: Collection[Path]) -> dict[Path, str]:
        found = cache.sources.digests(f"{name} on a hub", places, trust=trust)
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
    source: str | hub.Snapshot, options: Options, cache: Cache, *, trust: bool, tell: Watcher
) -> tuple[Inventory, _KnownFiles]:
    tell(Progress("inventory", "start"))
    if isinstance(source, hub.Snapshot):
        place = source.path
        listed = inventory.take(str(source.name), place, source.files, options)
    else:
        place = Path(source)
        listed = inventory.take(source, options=options)
    total = sum(entry.size for entry in listed.entries)
    done, shown = 0, time.monotonic()

    def count(size: int) -> None:
        nonlocal done, shown
        done += size
        if time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            tell(Progress("inventory", "progress", done, total))

    places = {entry.place for entry in listed.entries}
    known = cache.sources.digests(os.path.realpath(place), places, trust=trust, progress=count)
    for entry in listed.entries:
        found, _ = known[entry.place]
        if (found.device, found.inode, found.size) != (*entry.identity, entry.size):
            raise NotLoadable(f"{visible(entry.path)} was changed while it was read")
    tell(Progress("inventory", "end"))
    return listed, known


def _make(
    cache: Cache,
    key: str,
    source: str | hub.Snapshot,
    listed: Inventory,
    known: _KnownFiles,
    options: Options,
    load: Load,
) -> Seal:
    needed = listed.weighed
    space = os.statvfs(cache.home)
    free = space.f_bavail * space.f_frsize
    if free < needed:
        raise UsageError(
            f"the cache folder {cache.home} has {format_size(free)} free, the cleared copy needs "
            f"{format_size(needed)}: `safe-load cache prune` makes room, SAFE_LOAD_HOME names another"
        )
    with _told(cache):
        cache.remove(key)
    report = load(source, cache.place(key), options)
    # The key was made of what was hashed before; it must be what the load itself has hashed, and
    # nothing may have changed from then to now: other bytes would be cleared in these bytes' name.
    expected = {entry.path: known[entry.place][1] for entry in listed.entries}
    try:
        if {file.path: file.sha256 for file in report.files} != expected:
            raise NotLoadable(f"{listed.source} was changed while it was opened")
        require_unchanged({place: found for place, (found, _) in known.items()})
    except NotLoadable:
        cache.remove(key)
        raise
    with _told(cache):
        cache.seal(key, report)
        seal = cache.use(key)
    if seal is None:
        raise SandboxError(
            f"the cleared copy {cache.place(key)} differs from the one that was just written there"
        )
    return seal


@contextmanager
def _told(cache: Cache) -> Iterator[None]:
    """A cache folder that fails is the user's to repair: say so in a sentence."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        kind = LimitHit if full else UsageError
        raise kind(
            f"the cache folder {cache.home} cannot be used: {error.strerror}; "
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
