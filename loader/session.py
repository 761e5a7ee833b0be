"""Many models, one warm sandbox.

Zone: controller. The heavy imports happen once, inside the walls; each model gets a room of its own
that is forked from there, used once, and thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from safe_load import pipeline, rooms
from safe_load.api import Result, Source, Target, cleared, exported, given, judged
from safe_load.options import Options

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.options import Progress
    from safe_load.report import Report

Watcher = Callable[[str, "Report"], None]


class Session:
    """A warm sandbox for many models. Use it as a context manager:

        with safe_load.Session(profile="strict") as session:
            for path in paths:
                session.scan(path)

    options: the fields of safe_load.options.Options, for every model. jobs: how many models
    `scan_all` opens at a time; one per usable core when None. The room is made with the first model
    and ends by itself when nothing happens for two minutes; the next model makes a new one. May be
    used from several threads. Raises UsageError for wrong options.
    """

    def __init__(self, *, jobs: int | None = None, **options: Any) -> None:
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

    def scan(self, source: Source) -> Result:
        """As safe_load.scan."""
        return judged(self.report(source))

    def load(self, source: Source, target: Target) -> Result:
        """As safe_load.load."""
        path = os.fspath(target)
        return exported(
            pipeline.load(given(source), path, self._options, backend=self._backend), path
        )

    def clear(
        self,
        source: Source,
        *,
        refresh: bool = False,
        verify: bool = False,
        progress: Callable[[Progress], None] | None = None,
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

    def report(self, source: Source) -> Report:
        """The report of one scan, whatever its outcome."""
        return pipeline.scan(given(source), self._options, backend=self._backend)

    def scan_all(
        self, sources: Iterable[Source], progress: Watcher | None = None
    ) -> Iterator[Report]:
        """The report of each source, in the order given, several at a time; one that takes long does
        not hold up the others. progress: called with each source and its report as it is done."""

        def one(source: Source) -> Report:
            report = self.report(source)
            if progress is not None:
                progress(report.source.path, report)
            return report

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="session") as pool:
            try:
                yield from pool.map(one, sources)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._backend.stop()
                raise
