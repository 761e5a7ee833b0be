"""The records of earlier runs of `safe-load scan` and `load`: what the same files under the same policy
gave, so that an unchanged source is not opened twice.

Zone: controller. A record is named as a cleared copy is (`cache_key`): by the content of the files and by
all that decides what a run says. Nothing is hashed to find one: only files whose times, inode and size are
those of the run that hashed them (`source_index`) are known. A record of a load also says what its folder
was; a folder that is not that any more is not answered for.

    runs/KEY.json        the report, and the state of the folder that was exported
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.advisories import store
from safe_load.cache import cache_key, lookup
from safe_load.cache.entries import Cache, Sealed, state_of
from safe_load.cache.locks import require_own
from safe_load.cache.source_index import Signature, require_unchanged, signature, write_back
from safe_load.core import typed
from safe_load.core.atomic_files import replace_file, sweep_files
from safe_load.core.errors import SafeLoadError
from safe_load.core.escape import visible
from safe_load.core.hashing import Hashes, open_regular
from safe_load.core.report import Report  # noqa: TC002 (msgspec reads it)
from safe_load.export import copying
from safe_load.export.staging import Staging
from safe_load.provenance import origin
from safe_load.sandbox.backends.interface import BackendError
from safe_load.sources import hub, inventory
from safe_load.sources.tree import Part

if TYPE_CHECKING:
    from safe_load.core.options import Options
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.sources.inventory import Inventory

SCHEMA = "safe-load/run/1"
_MAX_BYTES = 64 << 20
_KEPT = 1000


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """exported: the folder of a load, and its state when it was shown; None for a scan."""

    schema: str = SCHEMA
    key: str
    report: Report
    exported: str | None = None
    state: list[Sealed] = []


@dataclass(frozen=True)
class Run:
    """One run that may be answered by a record, or leave one. `begin` makes it."""

    _source: str
    _target: Path | None
    _cache: Cache
    _folder: Path
    _stock: Inventory
    _policy: dict[str, object]
    _before: dict[Path, Signature]
    _started: float
    _options: Options
    _share: str = ""
    """Of a tree, which of the sources in one folder it is."""

    def answer(self) -> Report | None:
        """The report of the earlier run, its copy in the target; None where there is none, or where
        anything differs. Raises UsageError for a target that is taken by something else."""
        known = self._cache.sources.known(self._place, self._before)
        if known is None:
            return None
        record = self._read(self._key(known))
        if record is None:
            return None
        report = _told(record.report, self._source)
        if self._target is None or report.export is None:
            return report
        target = Path(os.path.realpath(self._target))
        exported = Path(str(record.exported))
        if not _is(exported, record.state):
            return None
        if target != exported and not _copied(exported, target, report):
            return None
        shown = msgspec.structs.replace(report.export, path=str(self._target))
        return msgspec.structs.replace(report, export=shown)

    def keep(self, report: Report) -> None:
        """Record what this run gave, where the next one can know that nothing changed."""
        digests = {file.path: file.sha256 for file in report.files}
        found = {
            entry.place: digest
            for entry in self._stock.entries
            if (digest := digests.get(entry.path)) is not None
        }
        if report.outcome not in ("ok", "rejected") or len(digests) != len(found):
            return
        exported = None
        state: list[Sealed] = []
        with suppress(SafeLoadError, OSError):
            require_unchanged(self._before)
            if self._target is not None and report.export is not None:
                exported = os.path.realpath(self._target)
                state = state_of(Path(exported))
            key = self._key(found)
            record = _Record(key=key, report=report, exported=exported, state=state)
            data = msgspec.json.encode(record)
            signed = {place: (self._before[place], digest) for place, digest in found.items()}
            if len(data) > _MAX_BYTES or not self._cache.sources.remember(
                self._place, signed, self._started
            ):
                return
            replace_file(self._folder / f"{key}.json", data)
            _prune(self._folder)

    @property
    def _place(self) -> str:
        return os.path.realpath(self._source) + self._share

    def _key(self, digests: dict[Path, str]) -> str:
        what = "scan" if self._target is None else "load"
        known = origin.of(self._source, None, self._options)
        said = [known.source.publisher, known.source.revision, [each.id for each in known.findings]]
        policy = self._policy | {
            "run": what,
            "notes": self._stock.notes,
            "origin": said,
            "lists": store.stamp(),
        }
        return cache_key.key(self._stock, digests, policy)

    def _read(self, key: str) -> _Record | None:
        """None where there is none, or none that reads: then the source is opened."""
        path = self._folder / f"{key}.json"
        try:
            with open(open_regular(path), "rb") as file:
                record = typed.decode(file.read(_MAX_BYTES + 1), _Record)
            os.utime(path)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return record if record.schema == SCHEMA and record.key == key else None


def begin(
    source: str | Part, target: Path | None, options: Options, backend: Backend
) -> Run | None:
    """What may be known of this run. None for a source on a hub, for options that ask for a run of their
    own (a trace, no hashes, an export despite findings), and where no cache folder can be used.

    source: a path, or a part of a tree; target: of a load, None for a scan; backend: what would open the source.
    """
    part = source if isinstance(source, Part) else Part(source)
    if hub.is_name(part.name) or not options.hash:
        return None
    if options.require_attestation is not None:
        return None
    if options.record == "full" or options.export_despite_findings:
        return None
    started = time.time()
    try:
        cache = Cache(lookup.home())
        folder = cache.home / "runs"
        require_own(folder)
        stock = inventory.take(part.name, only=part.only, options=options, every=target is None)
        before = {entry.place: signature(entry.place) for entry in stock.entries}
        if not all(write_back(place) for place in before):
            return None
        policy = cache_key.policy(options, backend, cache.sources)
    except (SafeLoadError, BackendError, OSError):
        return None  # whatever is wrong, the run itself says it
    share = "" if part.only is None else f"\0{'beside' if part.beside else 'part'}"
    return Run(part.name, target, cache, folder, stock, policy, before, started, options, share)


def _told(report: Report, source: str) -> Report:
    """The report under the name that the source was given now, saying that it is an earlier one."""
    note = (
        f"From the record of the run of {report.started}: the same files under the same policy. "
        "Nothing was opened again; --no-cache opens the source."
    )
    named = msgspec.structs.replace(report.source, path=visible(source))
    return msgspec.structs.replace(report, source=named, notes=[note, *report.notes])


def _is(folder: Path, state: list[Sealed]) -> bool:
    try:
        return stat.S_ISDIR(folder.lstat().st_mode) and state_of(folder) == state
    except OSError:
        return False


def _copied(exported: Path, target: Path, report: Report) -> bool:
    """Copy a cleared folder, checking each file by its BLAKE3; False where one differs."""
    files = report.export.files if report.export else []
    with Staging.create(target, expected=sum(file.size for file in files)) as staging:
        for file in files:
            output = staging.open_output(file.path)
            os.ftruncate(output, file.size)
            digest = Hashes(("blake3",))
            try:
                source = open_regular(exported / file.path)
            except OSError:
                return False
            try:
                copying.copy([source], output, [(0, 0, 0, file.size)], digest)
            except (copying.BadRunError, EOFError):
                return False
            finally:
                os.close(source)
            if digest.hex()["blake3"] != file.digests.blake3:
                return False
        staging.show()
    return True


def _prune(folder: Path) -> None:
    """Forget all but the records that were used last."""
    sweep_files(folder)
    with os.scandir(folder) as entries:
        aged = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
    for _, path in aged[: max(0, len(aged) - _KEPT)]:
        Path(path).unlink(missing_ok=True)
