"""The commands that open something: each source through the pipeline, then the reports out."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load import formats, hub, progress
from safe_load.cli import terminal
from safe_load.errors import NotLoadable, SafeLoadError, UsageError
from safe_load.formats.interface import View
from safe_load.report import EXIT_CODES, SCHEMA, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from safe_load.options import Options, Progress
    from safe_load.sandbox.backends.interface import Backend
    from safe_load.settings import Settings

#: Which code speaks for several sources: the first of these that any of them ended with. Known
#: malice beats everything but the user's own Ctrl-C; a broken sandbox beats a limit, a limit beats
#: a source that is no model.
_WORST_FIRST = (130, 1, 4, 5, 3, 2)
#: Bytes. Far above what the caps on events and findings let a report grow to.
_LARGEST_REPORT = 256 << 20


def worst(codes: Iterable[int]) -> int:
    """The exit code of a run whose sources ended with these."""
    seen = set(codes)
    return next((code for code in _WORST_FIRST if code in seen), 0)


def open_sources(
    sources: Sequence[str],
    settings: Settings,
    outputs: Sequence[tuple[str, Path | None]],
    target: Path | None = None,
) -> int:
    """Scan every source (or load the only one into `target`), write the outputs. Returns the code.

    A source that fails does not keep the others from being opened. Raises UsageError before the
    first is opened if one does not exist, if a name of one on a hub is malformed or if an output
    cannot be written.
    """
    for source in sources:
        if hub.is_name(source):
            hub.parse(source)
        elif not os.path.lexists(source):
            raise UsageError(f"there is no file or folder {source!r}")
    check(outputs)
    options = _traced(settings.options, outputs)
    reports: list[Report] = []
    codes: list[int] = []
    with _opening(sources, settings, options, target) as opening:
        for open_it in opening:
            try:
                report = open_it()
            except KeyboardInterrupt:
                codes.append(terminal.complain("interrupted", 130))
                break
            except Exception as error:  # noqa: BLE001 (told, counted, and never a 0)
                codes.append(terminal.tell(error))
                if isinstance(error, SafeLoadError) and error.result is not None:
                    reports.append(error.result.report)
                continue
            reports.append(report)
            codes.append(EXIT_CODES[report.outcome])
    codes.append(deliver(reports, outputs, settings) if reports else 0)
    return worst(codes)


@contextmanager
def _opening(
    sources: Sequence[str], settings: Settings, options: Options, target: Path | None
) -> Iterator[list[Callable[[], Report]]]:
    """For each source, what gives its report or raises: one is opened when it is asked for, with
    progress; several are opened at once, from one warm room, from now on."""
    if len(sources) == 1:
        yield [partial(_watch, sources[0], settings, options, target)]
        return
    from safe_load import rooms  # noqa: PLC0415 (not before the command line is known to be right)

    backend = rooms.backend_of(options, rooms.profile_of(options), warm=True)
    done = count(1)

    def open_quietly(source: str) -> Report:
        report = open_one(source, None, options, None, backend)
        if progress.watched(quiet=settings.quiet):
            terminal.note(f"{next(done)} of {len(sources)}: {report.verdict}  {source}")
        return report

    pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="scan")
    running: list[Future[Report]] = []
    try:
        running.extend(pool.submit(open_quietly, source) for source in sources)
        yield [each.result for each in running]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        rooms.stop_until_done(backend, running)  # what still runs, if this was left early
        pool.shutdown()
        backend.close()


def open_one(
    source: str,
    target: Path | None,
    options: Options,
    show: Callable[[Progress], None] | None,
    backend: Backend | None = None,
) -> Report:
    """The one call into the pipeline."""
    from safe_load import pipeline  # noqa: PLC0415 (not before the command line is known to be right)

    if target is None:
        return pipeline.scan(source, options, show, backend=backend)
    return pipeline.load(source, target, options, show, backend=backend)


def _traced(options: Options, outputs: Sequence[tuple[str, Path | None]]) -> Options:
    """With --record full, the trace goes beside the first report that is a file."""
    if options.record != "full":
        return options
    file = next((file for _, file in outputs if file is not None), Path("safe-load"))
    trace = file.with_name(f"{file.name}.trace.jsonl")
    trace.unlink(missing_ok=True)
    terminal.warn(f"every call is being written to {trace}; this is slower")
    return replace(options, trace=trace)


def _watch(source: str, settings: Settings, options: Options, target: Path | None) -> Report:
    watched = progress.watched(quiet=settings.quiet)
    color = settings.color is not False
    with progress.shown(source, color=color) if watched else nullcontext() as show:
        return open_one(source, target, options, show)


def chosen_outputs(
    format_: str, output: str | None, reports: Sequence[str]
) -> list[tuple[str, Path | None]]:
    """What to write where, None for stdout. Raises UsageError for a malformed FORMAT=FILE."""
    outputs: list[tuple[str, Path | None]] = [(format_, Path(output) if output else None)]
    for pair in reports:
        name, equals, file = pair.partition("=")
        if not equals or not file or name not in formats.FORMATS:
            known = ", ".join(formats.FORMATS)
            raise UsageError(f"--report {pair!r} is not FORMAT=FILE with FORMAT one of {known}")
        outputs.append((name, Path(file)))
    return outputs


def check(outputs: Sequence[tuple[str, Path | None]]) -> None:
    """Raise UsageError for a file that could not be written, before time is spent on its content."""
    for _, path in outputs:
        if path is None:
            continue
        if path.is_dir():
            raise UsageError(f"{str(path)!r} is a folder, and a report is a file")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise UsageError(f"the report {str(path)!r} cannot be written there")


def deliver(
    reports: Sequence[Report],
    outputs: Sequence[tuple[str, Path | None]],
    settings: Settings,
) -> int:
    """Write each output. Returns 0, or 2 if one could not be written (the others still are)."""
    code = 0
    # Files first: they do not depend on anyone reading stdout to its end.
    for name, path in sorted(outputs, key=lambda output: output[1] is None):
        if path is None:
            view = terminal.view(color=settings.color, brief=settings.quiet)
            terminal.write(formats.get(name, view).render(reports))
            continue
        try:
            path.write_bytes(formats.get(name, View(width=100)).render(reports))
        except OSError as error:
            code = terminal.complain(f"the report {str(path)!r} was not written: {error}", 2)
    return code


def read_report(file: str) -> list[Report]:
    """The reports in a saved JSON file, or on stdin for "-". Raises NotLoadable."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_LARGEST_REPORT + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(_LARGEST_REPORT + 1)
    except OSError as error:
        raise NotLoadable(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST_REPORT:
        raise NotLoadable(f"{file} is larger than 256 MiB, which no report is")
    try:
        found = msgspec.json.decode(data, type=Report | list[Report])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotLoadable(f"{file} is not a safe-load report: {error}") from error
    reports = found if isinstance(found, list) else [found]
    for report in reports:
        if report.schema != SCHEMA:
            raise NotLoadable(
                f"{file} has the schema {report.schema!r}; this version reads {SCHEMA}"
            )
    return reports
