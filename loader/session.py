"""Many models, one warm sandbox.

Zone: controller. The heavy imports happen once, inside the walls; each model gets a room of its own
that is forked from there, used once, and thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from safe_load import pipeline, rooms
from safe_load.api import Result, Source, Target, Watcher, cleared, exported, given, judged
from safe_load.errors import UsageError
from safe_load.options import Options

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.report import Report

Done = Callable[[str, "Report"], None]


class Session:
    """A warm sandbox for many models. Use it as a context manager:

        with safe_load.Session(profile="strict") as session:
            for path in paths:
                session.scan(path)

    options: the fields of safe_load.options.Options, for every model. jobs: how many models
    `scan_all` and `load_all` open at a time; one per usable core when None. The room is made with
    the first model and ends by itself when nothing happens for two minutes; the next model makes a
    new one. May be used from several threads. Raises UsageError for wrong options.
    """

    def __init__(self, *, jobs: int | None = None, **options: Any) -> None:
        if jobs is not None and jobs < 1:
            raise UsageError(f"jobs={jobs}: at least one model has to be opened at a time")
        self._options = Options(**options)
        self._backend = rooms.backend_of(self._options, rooms.profile_of(self._options), warm=True)
        self._jobs = jobs or len(os.sched_getaffinity(0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the warm sandbox and whatever runs in it."""
        self._backend.close()

    def scan(self, source: Source, *, progress: Watcher | None = None) -> Result:
        """As safe_load.scan."""
        return judged(self.report(source, progress=progress))

    def load(self, source: Source, target: Target, *, progress: Watcher | None = None) -> Result:
        """As safe_load.load."""
        return exported(self._load(source, target, progress), os.fspath(target))

    def clear(
        self,
        source: Source,
        *,
        refresh: bool = False,
        verify: bool = False,
        progress: Watcher | None = None,
        **choice: Any,
    ) -> Path:
        """As safe_load.clear. choice: of the options, those that say which files are meant."""
        return cleared(
            source,
            replace(self._options, **choice),
            refresh=refresh,
            verify=verify,
            progress=progress,
            backend=self._backend,
        ).path

    def report(self, source: Source, *, progress: Watcher | None = None) -> Report:
        """The report of one scan, whatever its outcome."""
        return pipeline.scan(given(source), self._options, progress, backend=self._backend)

    def scan_all(self, sources: Iterable[Source], progress: Done | None = None) -> Iterator[Report]:
        """The report of each source, in the order given, several at a time; one that takes long does
        not hold up the others. progress: called with each source and its report as it is done."""
        return self._all([partial(self.report, source) for source in sources], progress)

    def load_all(
        self, pairs: Iterable[tuple[Source, Target]], progress: Done | None = None
    ) -> Iterator[Report]:
        """As `scan_all`, and put a cleared copy of each source that is not rejected in its target:
        pairs of both. Raises UsageError for a target that is taken."""
        return self._all([partial(self._load, *pair) for pair in pairs], progress)

    def _load(self, source: Source, target: Target, progress: Watcher | None = None) -> Report:
        path = os.fspath(target)
        return pipeline.load(given(source), path, self._options, progress, backend=self._backend)

    def _all(self, loads: list[Callable[[], Report]], progress: Done | None) -> Iterator[Report]:
        def one(load: Callable[[], Report]) -> Report:
            report = load()
            if progress is not None:
                progress(report.source.path, report)
            return report

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="session") as pool:
            running: list[Future[Report]] = []
            try:
                running.extend(pool.submit(one, load) for load in loads)
                for each in running:
                    yield each.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                rooms.stop_until_done(self._backend, running)
                raise
