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
from typing import TYPE_CHECKING, Self, Unpack

from safe_load.api import (
    Result,
    Source,
    Target,
    Watcher,
    cleared,
    exported,
    given,
    judged,
    result_of,
)
from safe_load.core.errors import UsageError
from safe_load.core.interrupts import held_back, until_done
from safe_load.core.options import Choice, Options, OptionsDict
from safe_load.loading import pipeline
from safe_load.rooms import choice, opening

if TYPE_CHECKING:
    from pathlib import Path

    from safe_load.core.report import Report

#: Called with each source, as it was given, and what came of it.
Done = Callable[[Source, Result], None]


class Session:
    """A warm sandbox for many models. Use it as a context manager:

        with safe_load.Session(profile="strict") as session:
            for path in paths:
                session.scan(path)

    The first model builds the sandbox. The sandbox ends after two minutes without a model, and the
    next model builds a new one. Several threads may use one session.

    Args:
        jobs: How many models `scan_all` and `load_all` open at a time. None: one per usable core.
        **options: As for `scan`; they hold for every model.

    Raises:
        UsageError: An option is wrong.
        SandboxError: No backend can build a room on this machine.
    """

    def __init__(self, *, jobs: int | None = None, **options: Unpack[OptionsDict]) -> None:
        if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
            raise UsageError(f"jobs={jobs!r}: it must be a whole number of at least 1, or None")
        self._options = Options(**options)
        self._backend = choice.backend_of(
            self._options, choice.profile_of(self._options), warm=True
        )
        self._jobs = jobs or len(os.sched_getaffinity(0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the sandbox and everything that runs in it."""
        self._backend.close()

    def scan(self, source: Source, *, progress: Watcher | None = None) -> Result:
        """As `safe_load.scan`, in this sandbox."""
        return judged(self.report(source, progress=progress))

    def load(self, source: Source, target: Target, *, progress: Watcher | None = None) -> Result:
        """As `safe_load.load`, in this sandbox."""
        return exported(self._load(source, target, progress), os.fspath(target))

    def clear(
        self,
        source: Source,
        *,
        refresh: bool = False,
        verify: bool = False,
        progress: Watcher | None = None,
        **choice: Unpack[Choice],
    ) -> Path:
        """As safe_load.clear. choice: which files of this source are meant, whatever the session says."""
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

    def scan_all(self, sources: Iterable[Source], progress: Done | None = None) -> Iterator[Result]:
        """Scan many sources, several at a time. A slow source does not delay the others.

        Args:
            sources: Files, folders and names on a hub, as for `scan`.
            progress: Called with each source and its result when the source is done.

        Yields:
            The result of each source, in the given order, also of a source that failed: if `ok` is
            False, `report.outcome` and `report.outcome_detail` give the reason.

        Raises:
            UsageError: The name of a source is wrong.
        """
        return self._all([(source, partial(self.report, source)) for source in sources], progress)

    def load_all(
        self, pairs: Iterable[tuple[Source, Target]], progress: Done | None = None
    ) -> Iterator[Result]:
        """Scan as `scan_all` does, and put a cleared copy of each source that is not rejected in its target.

        Args:
            pairs: Each source, and the folder for its copy.
            progress: As for `scan_all`.

        Yields:
            The result of each source, in the given order. `path` is its copy, or None without one.

        Raises:
            UsageError: A target exists already, or the name of a source is wrong.
        """
        return self._all([(pair[0], partial(self._load, *pair)) for pair in pairs], progress)

    def _load(self, source: Source, target: Target, progress: Watcher | None = None) -> Report:
        path = os.fspath(target)
        return pipeline.load(given(source), path, self._options, progress, backend=self._backend)

    def _all(
        self, loads: list[tuple[Source, Callable[[], Report]]], progress: Done | None
    ) -> Iterator[Result]:
        def one(source: Source, load: Callable[[], Report]) -> Result:
            result = result_of(load())
            if progress is not None:
                progress(source, result)
            return result

        with ThreadPoolExecutor(self._jobs, thread_name_prefix="session") as pool:
            running: list[Future[Result]] = []
            try:
                with held_back():
                    running.extend(pool.submit(one, *load) for load in loads)
                for each in running:
                    until_done([each])
                    yield each.result()
            except BaseException:
                opening.stop_until_done(self._backend, pool)
                raise
