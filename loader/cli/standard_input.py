"""A model on standard input, the source "-": kept in a file for as long as it is opened. Zone: controller."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.core.errors import NotLoadable, UsageError
from safe_load.core.report import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from safe_load.core.report import Report

NAME = "-"
#: What the file is called in reports, and in an export: stdin.safetensors.
_FILE = "stdin"
_STEP = 1 << 20


@contextmanager
def kept(sources: Sequence[str]) -> Iterator[tuple[tuple[str, ...], Callable[[Report], Report]]]:
    """The sources with a file in the place of "-", and what gives a report the name back that the user gave.

    Raises:
        UsageError: "-" stands twice, or standard input is a terminal.
        NotLoadable: What comes cannot be kept: no space, or a fault of what is read.
    """
    if NAME not in sources:
        yield tuple(sources), lambda report: report
        return
    if list(sources).count(NAME) > 1:
        raise UsageError('"-" stands twice: standard input can be read once')
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError('"-" reads a model from standard input, which is a terminal: pipe one')
    with tempfile.TemporaryDirectory(prefix="safe-load-") as folder:
        path = Path(folder) / _FILE
        try:
            with path.open("xb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file, _STEP)
        except OSError as error:
            raise NotLoadable(
                f"standard input cannot be kept in {folder}: {error.strerror}"
            ) from None

        def named(report: Report) -> Report:
            if report.source.path != str(path):
                return report
            return msgspec.structs.replace(report, source=Source(NAME))

        yield tuple(str(path) if source == NAME else source for source in sources), named
