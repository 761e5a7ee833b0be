"""The commands that open something: each source through the pipeline, then the reports out."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from itertools import repeat, zip_longest
from typing import TYPE_CHECKING

import msgspec
from safe_load.cli import terminal
from safe_load.cli.outputs import check, deliver, worst
from safe_load.cli.policy import options_for
from safe_load.cli.sources import BESIDE, Chosen, choose, files_of
from safe_load.core.errors import (
    Interrupted,
    SafeLoadError,
    UsageError,
    code_of,
)
from safe_load.core.interrupts import held_back, until_done
from safe_load.core.report import EXIT_CODES, Report, Reports
from safe_load.render import progress
from safe_load.sources import hub
from safe_load.sources.tree import Part
from safe_load.worker.key_links import find, mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from safe_load.cli.settings import Settings
    from safe_load.cli.sources import Choice
    from safe_load.core.claims import Claim
    from safe_load.core.exceptions import Accepted
    from safe_load.core.options import Options, Progress
    from safe_load.sandbox.backends.interface import Backend

    Watcher = Callable[[Progress], None]
    Tell = Callable[[Report], Report]

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(?:@[\w./-]+)?", re.ASCII)


def open_sources(
    sources: Sequence[str],
    settings: Settings,
    outputs: Sequence[tuple[str, Path | None]],
    target: Path | None = None,
    of_trees: Choice | None = None,
    named: Tell = lambda report: report,
) -> int:
    """Scan every source (or load the only one into `target`), write the outputs. Returns the code.

    of_trees: what of the folders among them is meant, for a scan; named: a report with the name that the user gave.

    A source that fails does not keep the others from being opened. Raises UsageError before the
    first is opened if one does not exist, if a name of one on a hub is malformed or if an output
    cannot be written.
    """
    for source in sources:
        if hub.is_name(source):
            hub.parse(source)
        elif not os.path.lexists(source):
            raise UsageError(
                f"there is no file or folder {mask(source)!r}{_on_a_hub(source)}{_keys(source)}"
            )
    check(outputs)
    options = settings.options
    from safe_load.rooms import choice  # noqa: PLC0415 (not before the command line is known to be right)

    profile = choice.profile_of(options)
    if profile.weaknesses:
        weaker = "; ".join(profile.weaknesses)
        terminal.warn(f"the profile {options.profile} is weaker than the shipped one: {weaker}")
    if options.trace is not None:
        options.trace.unlink(missing_ok=True)
        terminal.warn(f"--record full writes every call to {options.trace}; this is slower")
    chosen = choose(sources, of_trees) if target is None else Chosen(list(sources))
    reports = Reports()
    codes: list[int] = []
    ends = _open_all(chosen.sources, settings, target)
    for opened, ended in zip_longest(chosen.sources, ends):
        if isinstance(ended, Report):
            codes.append(EXIT_CODES[ended.outcome])
            if _says_nothing(opened, ended) and len(chosen.sources) > 1:
                chosen.leave(BESIDE, [f"{ended.source.path}/{file.path}" for file in ended.files])
            else:
                reports.append(named(ended))
            continue
        codes.append(code_of(ended) if 130 in codes else terminal.tell(ended))
        if isinstance(ended, SafeLoadError | Interrupted) and ended.result is not None:
            reports.append(named(ended.result.report))
    reports.left_alone = chosen.left_alone
    if settings.then is not None:
        codes += [_then(settings.then, report) for report in reports]
    _warn_of_unused(options.exceptions, reports)
    if reports or not ends:
        codes.append(deliver(reports, outputs, settings))
    return worst(codes)


def _then(act: Callable[[Report], None], report: Report) -> int:
    """What follows a load. Returns 0, or the code of what went wrong with it."""
    try:
        act(report)
    except Exception as error:  # noqa: BLE001 - the report is delivered all the same
        return terminal.tell(error)
    return 0


def base_of(
    base: str | None, claim: Claim | None, *, scans: bool
) -> tuple[str, Claim | None] | None:
    """What --base names as a source to compare with, and what --claim says; None for the name of an
    adapter's base. Raises UsageError for what is neither."""
    if base is not None and (hub.is_name(base) or os.path.lexists(base)):
        if hub.is_name(base):
            hub.parse(base)
        return base, claim
    if base is not None and scans:
        raise UsageError(f"--base: there is no file or folder {base!r}{_on_a_hub(base)}")
    if claim is not None:
        raise UsageError("--claim says what a model is of its base: name that with --base")
    return None


def fleet_of(on: str | None, store: str | None, base: str | None) -> tuple[str, str | None] | None:
    """What --on and --store say. Raises UsageError where they do not go together, or with --base."""
    if on is None:
        if store is not None:
            raise UsageError("--store says where the files of a fleet lie: name one with --on")
        return None
    if base is not None:
        raise UsageError("--base compares on this machine: leave --on out")
    return on, store


def _says_nothing(source: str | Part | None, report: Report) -> bool:
    """Whether it is about what lies beside the models of a tree, and nothing speaks against that."""
    beside = isinstance(source, Part) and source.beside
    return beside and report.outcome == "ok" and report.verdict == "clean"


def _on_a_hub(source: str) -> str:
    """What was probably meant by a name that is no path."""
    return f"; a model on a hub is hf://{source}" if _HUB_NAME.fullmatch(source) else ""


def _keys(source: str) -> str:
    """What is to be done about a link that holds a key: it is in the shell's history now."""
    found = find(source)
    if not found:
        return "; download a link's file first, and scan that" if "://" in source else ""
    return f"; the link {found[0].what}: have it revoked, and scan the downloaded file"


def _open_all(
    sources: Sequence[str | Part], settings: Settings, target: Path | None
) -> list[Report | BaseException]:
    """What came of each source, in their order. One is opened with progress, several at once in one
    warm room. Ctrl-C ends those that still run: what they had seen comes back, and a
    KeyboardInterrupt."""
    each = [options_for(_name(source), settings.options, settings.rules) for source in sources]
    if settings.on is not None and sources:
        from safe_load.cli import fleet  # noqa: PLC0415

        return fleet.open_all(sources, each, *settings.on)
    if len(sources) == 1:
        return [_outcome(partial(_watch, sources[0], each[0], settings, target))]
    if not sources:
        return []
    from safe_load.rooms import opening  # noqa: PLC0415 (not before the command line is known to be right)

    backends = _Backends(each)
    watched = settings.lines is None and progress.watched(quiet=settings.quiet)
    together = (
        progress.Together(len(sources), color=settings.color is not False) if watched else None
    )

    def open_quietly(source: str | Part, options: Options) -> Report:
        backend = backends.of(options)
        with _told(source, settings, together) as (show, tell):
            return tell(_known_or(source, None, options, settings, backend, show))

    ended: list[Report | BaseException] = []
    running: list[Future[Report]] = []
    with (
        closing(backends),
        together or nullcontext(),
        ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="scan") as pool,
    ):
        try:
            with held_back():
                running.extend(map(pool.submit, repeat(open_quietly), sources, each))
            until_done(running)
        except KeyboardInterrupt as error:
            ended.append(error)
            opening.stop_until_done(backends, pool)
    return [*(_outcome(each.result) for each in running if not each.cancelled()), *ended]


class _Backends:
    """A warm backend for all sources whose options ask for the same rooms."""

    def __init__(self, options: Iterable[Options]) -> None:
        from safe_load.rooms import choice  # noqa: PLC0415

        self._of: dict[tuple[object, bool], Backend] = {}
        for each in options:
            if self._key(each) not in self._of:
                profile = choice.profile_of(each)
                self._of[self._key(each)] = choice.backend_of(each, profile, warm=True)

    @staticmethod
    def _key(options: Options) -> tuple[object, bool]:
        from safe_load.rooms import choice  # noqa: PLC0415

        return msgspec.json.encode(choice.profile_of(options)), options.depth == "static"

    def of(self, options: Options) -> Backend:
        """The backend for these options."""
        return self._of[self._key(options)]

    def stop(self) -> None:
        """End every room that runs now."""
        for backend in self._of.values():
            backend.stop()

    def close(self) -> None:
        """Let go of everything."""
        for backend in self._of.values():
            backend.close()


def _name(source: str | Part) -> str:
    return source if isinstance(source, str) else source.name


def _outcome(open_it: Callable[[], Report]) -> Report | BaseException:
    """The report, or what was raised instead: it is told, counted, and never a 0."""
    try:
        return open_it()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told by open_sources
        return error


def open_one(
    source: str | Part,
    target: Path | None,
    options: Options,
    show: Callable[[Progress], None] | None,
    backend: Backend | None = None,
) -> Report:
    """The one call into the pipeline."""
    from safe_load.loading import pipeline  # noqa: PLC0415 (not before the command line is known to be right)

    if target is None or isinstance(source, Part):
        return pipeline.scan(source, options, show, backend=backend)
    return pipeline.load(source, target, options, show, backend=backend)


def _watch(source: str | Part, options: Options, settings: Settings, target: Path | None) -> Report:
    if settings.lines is not None:
        with _told(source, settings, None) as (show, tell):
            return tell(_known_or(source, target, options, settings, None, show))
    watched = progress.watched(quiet=settings.quiet)
    color = settings.color is not False
    with progress.shown(_name(source), color=color) if watched else nullcontext() as show:
        return _known_or(source, target, options, settings, None, show)


@contextmanager
def _told(
    source: str | Part, settings: Settings, together: progress.Together | None
) -> Iterator[tuple[Watcher | None, Tell]]:
    """Who is told of one source's steps, and of its report, where a program or a person follows."""
    name, lines = _name(source), settings.lines
    if together is not None:
        with together.of(name) as (show, end):

            def shown(report: Report) -> Report:
                end(report.verdict)
                return report

            yield show, shown
        return
    if lines is None:
        yield None, lambda report: report
        return

    def tell(report: Report) -> Report:
        lines.ended(name, report)
        return report

    try:
        yield lines.of(name), tell
    except BaseException as error:
        lines.failed(name, error)
        raise


def _known_or(
    source: str | Part,
    target: Path | None,
    options: Options,
    settings: Settings,
    backend: Backend | None,
    show: Callable[[Progress], None] | None,
) -> Report:
    """The record of an earlier run of the same files under the same policy, else a run that leaves one."""
    if settings.against is not None:
        return _against(source, target, options, settings.against, backend, show)
    if not settings.cache:
        _warm_up(backend, source)
        return open_one(source, target, options, show, *([backend] if backend else []))
    from safe_load.cache import runs  # noqa: PLC0415 (not before the command line is known to be right)
    from safe_load.rooms import choice  # noqa: PLC0415

    room = backend or choice.backend_of(options, choice.profile_of(options))
    with nullcontext() if backend else closing(room):
        run = runs.begin(source, target, options, room)
        report = run.answer() if run is not None else None
        if report is None:
            _warm_up(backend, source)
            report = open_one(source, target, options, show, room)
            if run is not None:
                run.keep(report)
        return report


def _against(
    source: str | Part,
    target: Path | None,
    options: Options,
    against: tuple[str, Claim | None],
    backend: Backend | None,
    show: Callable[[Progress], None] | None,
) -> Report:
    """Compare with the base, and open."""
    if isinstance(source, Part):
        raise UsageError(f"--base: {source.name} is one of several models; name one alone")
    from safe_load.weights.against import open_against  # noqa: PLC0415 (not before the command line is known to be right)

    base, claim = against
    return open_against(base, source, target, options, claim=claim, progress=show, backend=backend)


def _warm_up(backend: Backend | None, source: str | Part) -> None:
    """Make the room that many sources share now: its time is no source's."""
    if backend is not None:
        with suppress(OSError):  # the load itself says so
            backend.warm_up([] if hub.is_name(_name(source)) else files_of(source))


def _warn_of_unused(exceptions: Iterable[Accepted], reports: Iterable[Report]) -> None:
    """Exceptions that cover nothing any more would be forgotten until they cover what they should not."""
    used = {
        (found.id, found.accepted.sha256)
        for report in reports
        for found in report.findings
        if found.accepted is not None
    }
    for each in exceptions:
        if each.holds and (each.finding, each.sha256) not in used:
            terminal.warn(
                f"{each.origin}: the exception for {each.finding} of {each.sha256[:12]}... covers nothing in this "
                "run; remove it if the file is gone or has changed"
            )
