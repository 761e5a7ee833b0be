"""Reports out, in each form and to each place that was asked for, and saved reports in again."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load import render
from safe_load.cli import terminal
from safe_load.core import typed
from safe_load.core.atomic_files import replace_file
from safe_load.core.errors import WORST_FIRST, UsageError
from safe_load.core.installed import need
from safe_load.core.report import RUN_SCHEMA, SCHEMA, Report, Reports, Run
from safe_load.render import places
from safe_load.render.interface import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.cli.settings import Settings

#: Bytes. Far above what the caps on events and findings let a report grow to.
_LARGEST_REPORT = 256 << 20


def worst(codes: Iterable[int]) -> int:
    """The exit code of a run whose sources ended with these."""
    seen = set(codes)
    return next((code for code in WORST_FIRST if code in seen), 0)


def chosen_outputs(
    format_: str, output: str | None, reports: Sequence[str]
) -> list[tuple[str, Path | None]]:
    """What to write where, None for stdout. Raises UsageError for a malformed FORMAT=FILE."""
    outputs: list[tuple[str, Path | None]] = [(format_, Path(output) if output else None)]
    for pair in reports:
        name, equals, file = pair.partition("=")
        if not equals or not file or name not in render.FORMATS:
            known = ", ".join(render.FORMATS)
            raise UsageError(f"--report {pair!r} is not FORMAT=FILE with FORMAT one of {known}")
        outputs.append((name, Path(file)))
    return outputs


def trace_beside(output: str | None, reports: Sequence[str]) -> Path:
    """Where --record full writes to: beside the first report that is a file."""
    files = (file for file in (output, *(pair.partition("=")[2] for pair in reports)) if file)
    return Path(f"{next(files, 'safe-load')}.trace.jsonl")


def check(outputs: Sequence[tuple[str, Path | None]]) -> None:
    """Raise UsageError for a file that could not be written, before time is spent on its content."""
    if any(name == "cyclonedx" for name, _ in outputs):
        need("cyclonedx", "safe-load[bom]")
    for _, path in outputs:
        if path is None:
            continue
        try:
            _check_file(path)
        except OSError as error:  # a folder that may not be entered, a name that is too long
            raise UsageError(
                f"the report {str(path)!r} cannot be written: {(error.strerror or str(error)).lower()}. "
                "Name a file that you may write"
            ) from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder, and a report is a file: name a file in it")
    if not path.parent.is_dir():
        raise UsageError(
            f"the report {str(path)!r} cannot be written: there is no folder {str(path.parent)!r}. "
            "Make the folder first, or name another file"
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        place = "the file" if path.exists() else f"the folder {str(path.parent)!r}"
        raise UsageError(
            f"the report {str(path)!r} cannot be written: permission denied for {place}. "
            "Name a file that you may write"
        )


def deliver(
    reports: Sequence[Report],
    outputs: Sequence[tuple[str, Path | None]],
    settings: Settings,
) -> int:
    """Write each output. Returns 0, or the worst code of those that could not be written (the others
    still are)."""
    codes = []
    root = places.repository(os.getcwd())  # noqa: PTH109
    # Files first: they do not depend on anyone reading stdout to its end.
    for name, path in sorted(outputs, key=lambda output: output[1] is None):
        try:
            if path is None:
                view = replace(
                    terminal.view(color=settings.color, brief=settings.quiet),
                    verbose=settings.verbose,
                    root=root,
                    findings_url=settings.findings_url,
                )
                terminal.write(render.get(name, view).render(reports))
            else:
                in_file = View(
                    width=100,
                    verbose=settings.verbose,
                    root=root,
                    findings_url=settings.findings_url,
                )
                _write(path, render.get(name, in_file).render(reports))
        except OSError as error:
            where = "to stdout" if path is None else repr(str(path))
            kept = ". What was there before is as it was" if path and path.is_file() else ""
            told = f"the report {where} was not written: {error.strerror or error}{kept}"
            codes.append(terminal.complain(told, 2))
        except Exception as error:  # noqa: BLE001 - one form of report must not cost the others
            codes.append(terminal.tell(error))
    return worst(codes)


def _write(path: Path, data: bytes) -> None:
    """A report in a file: complete, or as it was before. A pipe or a device is written to."""
    if path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        replace_file(path.resolve(), data, mode=0o666)


def read_report(file: str) -> Reports:
    """The reports in a saved JSON file, or on stdin for "-". Raises UsageError."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_LARGEST_REPORT + 1)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(_LARGEST_REPORT + 1)
    except OSError as error:
        name = "report.json" if isinstance(error, IsADirectoryError) else file
        raise UsageError(
            f"the report {file} cannot be read: {error.strerror}. `safe-load scan SOURCE --report json={name}` "
            "writes one"
        ) from error
    if len(data) > _LARGEST_REPORT:
        raise UsageError(f"{file} is larger than 256 MiB, the limit for a report")
    try:
        schema = typed.decode(data, _Named).schema
        if schema == RUN_SCHEMA:
            run = typed.decode(data, Run)
            schemas = {each.schema for each in run.reports}
            if schemas <= {SCHEMA}:
                return Reports(run.reports, run.left_alone)
            schema = min(schemas - {SCHEMA})
        if schema == SCHEMA:
            return Reports([typed.decode(data, Report)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{file} is not a whole safe-load report: {error}. Only the json form can be shown again"
        ) from error
    raise UsageError(
        f"{file} has the schema {schema!r}, and this version of safe-load reads {SCHEMA} and {RUN_SCHEMA}: "
        "scan the source again"
    )


class _Named(msgspec.Struct):
    """The part of a report that says how to read the rest."""

    schema: str
