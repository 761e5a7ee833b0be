"""Has models judged by a fleet: files in, the report and the cleared files out.

Zone: controller. `Workers` is the one interface to whoever does the jobs; a scan and a gateway use it through `Fleet`.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec
from safe_load.core.errors import NotLoadable, SandboxError, UsageError
from safe_load.core.escape import visible
from safe_load.core.report import Report, decode
from safe_load.fleet import objects as stores
from safe_load.fleet.jobs import Ended, Job, JobFile, Published, stated
from safe_load.fleet.work import Rooms, fetch, forget_passing, result_of
from safe_load.sandbox.backends.interface import BackendError
from safe_load.sources import hub
from safe_load.sources.inventory import take
from safe_load.sources.tree import Part
from safe_load.worker.key_links import mask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.core.options import Options
    from safe_load.fleet.objects import Objects

_CACHED = re.compile(r"models--[\w.-]{1,200}/snapshots/[0-9a-f]{40}(?=/|$)", re.ASCII)
_MAX_REPORT = 64 << 20


class Workers(Protocol):
    """Whoever does jobs."""

    #: How many are worth giving them at a time.
    size: int

    def run(self, job: Job) -> Ended:
        """Have one job done, and wait. Called from several threads. A machine that broke is tried again elsewhere; where that
        does not help either, the end is a "sandbox_error"."""

    def close(self) -> None:
        """Let go of them. What runs is ended."""


class Fleet:
    """Judges models as `pipeline.scan` and `pipeline.load` do, but elsewhere."""

    def __init__(self, workers: Workers, store: Objects) -> None:
        self.size = workers.size
        self._workers = workers
        self._store = store
        self._rooms = Rooms(warm=False)
        self._guard = threading.Lock()
        self._same: dict[str, tuple[threading.Lock, list[int]]] = {}

    def close(self) -> None:
        """Let go of the workers."""
        self._workers.close()
        self._rooms.close()

    def scan(self, source: str | Part | hub.Snapshot, options: Options) -> Report:
        """The report of one source. Raises UsageError, NotLoadable where the files cannot be had, SandboxError where no machine
        could judge it."""
        return self._report(source, self._ended(self._job(source, options, clears=False)))

    def load(self, source: hub.Snapshot, target: Path, options: Options) -> Report:
        """The report, and a cleared copy in `target` where one was made. Raises as `scan` does."""
        ended = self._ended(self._job(source, options, clears=True))
        report = self._report(source, ended)
        if ended.cleared and report.export is not None:
            try:
                target.mkdir(parents=True)
                fetch(self._store, target, ended.cleared)
            except OSError as error:
                raise SandboxError(f"the cleared copy cannot be fetched: {error}") from error
            export = msgspec.structs.replace(report.export, path=str(target))
            report = msgspec.structs.replace(report, export=export)
        return report

    def _job(self, source: str | Part | hub.Snapshot, options: Options, *, clears: bool) -> Job:
        if isinstance(source, str) and hub.is_name(source):
            source = hub.fetch(
                hub.parse(source), variant=options.variant, use_safetensors=options.use_safetensors, every=options.all_files
            )  # fmt: skip
        chosen, accepted = stated(options)
        snapshot = source if isinstance(source, hub.Snapshot) else None
        if isinstance(source, hub.Snapshot):
            inventory = take(str(source.name), source.path, source.files, options, every=not clears)
        elif isinstance(source, Part):
            inventory = take(source.name, only=source.only, options=options, every=True)
        else:
            inventory = take(source, options=options, every=True)
        match = (
            None
            if isinstance(source, hub.Snapshot)
            else _CACHED.search(str(Path(_name(source)).absolute()))
        )
        try:
            with self._guard:
                policy = self._rooms.policy(options)
            files = tuple(
                JobFile(entry.path, entry.size, self._store.put(entry.place))
                for entry in inventory.entries
            )
            return Job(
                files=files, folder=inventory.folder, place=match.group() if match else "model",
                beside=isinstance(source, Part) and source.beside, clears=clears,
                published=None if snapshot is None else Published.of(snapshot), options=chosen, exceptions=accepted,
                policy=policy,
            )  # fmt: skip
        except UnicodeEncodeError:
            raise NotLoadable(f"{_shown(source)} holds a file whose name is not Unicode") from None
        except BackendError as error:
            raise SandboxError(str(error)) from error
        except OSError as error:
            raise NotLoadable(f"{_shown(source)} cannot be put into the store: {error}") from error

    def _ended(self, job: Job) -> Ended:
        """How the job ended, asked for once at a time."""
        try:
            with self._alone(job.key):
                forget_passing(self._store, job.key)
                ended = result_of(self._store, job.key) or self._workers.run(job)
        except OSError as error:
            raise SandboxError(f"the store of the fleet failed: {error}") from error
        if not ended.final:
            raise SandboxError(visible(ended.sentence or "the fleet gave no verdict", 600))
        return ended

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._same.setdefault(key, (threading.Lock(), []))
            users.append(1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                users.pop()
                if not users:
                    del self._same[key]

    def _report(self, source: str | Part | hub.Snapshot, ended: Ended) -> Report:
        with tempfile.TemporaryDirectory(prefix="safe-load-") as folder:
            place = Path(folder, "report")
            try:
                self._store.get(ended.report or "", place)
                if place.stat().st_size > _MAX_REPORT:
                    raise SandboxError("the fleet's report is larger than 64 MiB")
                report = decode(place.read_bytes())
            except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
                raise SandboxError(f"the fleet's report cannot be read: {error}") from error
        if report.outcome != ended.outcome:
            raise SandboxError("the fleet's report is about another end")
        if isinstance(source, hub.Snapshot) or (isinstance(source, str) and hub.is_name(source)):
            return report
        named = msgspec.structs.replace(report.source, path=_shown(source))
        return msgspec.structs.replace(report, source=named)


def of(on: str, store: str | None) -> Fleet:
    """The fleet that a URL names, ray://HOST:PORT, ray://local or file:///DIR. store: where its files lie; None for what that
    URL says itself. Raises UsageError."""
    if on.startswith("file://"):
        from safe_load.fleet.folder import FolderQueue  # noqa: PLC0415

        if store not in (None, on):
            raise UsageError(f"{on} is the store already: leave the other one out")
        place = stores.of(on)
        assert isinstance(place, stores.Folder)  # noqa: S101 - as file:// always is
        return Fleet(FolderQueue(place), place)
    if on.startswith("ray://"):
        from safe_load.fleet.on_ray import Ray  # noqa: PLC0415

        if store is None and on != "ray://local":
            raise UsageError(
                f"{on}: name the store that its machines reach, s3://BUCKET/PREFIX or file:///DIR"
            )
        if store is None:
            store = (
                f"file://{os.path.realpath(tempfile.gettempdir())}/safe-load-fleet-{os.geteuid()}"
            )
        return Fleet(Ray(on, store), stores.of(store))
    raise UsageError(f"{on!r} is no fleet: write ray://HOST:PORT, ray://local or file:///DIR")


def _name(source: str | Part) -> str:
    return source if isinstance(source, str) else source.name


def _shown(source: str | Part | hub.Snapshot) -> str:
    return visible(mask(str(source.name) if isinstance(source, hub.Snapshot) else _name(source)))
