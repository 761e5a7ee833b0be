"""How far a load has come, on stderr, for someone who is watching. Zone: controller."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self, TextIO

from safe_load.core.errors import code_of, sentence
from safe_load.core.escape import visible
from safe_load.core.report import EXIT_CODES
from safe_load.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.progress import TaskID
    from safe_load.core.options import Progress
    from safe_load.core.report import Report

DOING = {
    "fetch": "downloading from the hub",
    "inventory": "listing and hashing files",
    "wait": "waiting for another process that clears this source",
    "extract": "reading the weights as data",
    "detonate": "opening the model inside the sandbox",
    "installed": "opening the model beside installed packages",
    "convert": "converting the tokenizer",
    "rewrite": "rewriting the configuration",
    "probe": "asking the model",
    "compare": "comparing the loaded tensors with the bytes",
    "export": "writing the cleared copy",
}
_NAME_WIDTH = 30
#: Seconds between two lines on one stage's bytes.
_TICK = 0.2


def watched(*, quiet: bool) -> bool:
    """Whether anyone is there to see progress."""
    return not quiet and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def in_bytes(step: Progress, seconds: float) -> str:
    """How many bytes are done and how fast that is: "1.2 GB of 2.1 GB, 1.5 GB/s". seconds: since the stage
    began. "" for a stage that counts no bytes."""
    if step.done is None or not step.total:
        return ""
    done = f"{format_size(step.done)} of {format_size(step.total)}"
    return f"{done}, {format_size(int(step.done / seconds))}/s" if seconds > 0 else done


class Lines:
    """Progress for programs: one JSON object a line, complete when it is written. Any thread may tell.

    Each object has `source` and `event`. "stage": `stage`, `state` (start, progress, end), and `done` and `total`
    bytes where the stage counts some. "end", the last one of a source: `verdict`, `outcome`, `exit_code` and
    `duration_s`, or `error` where there is no report.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = Lock()

    def of(self, source: str) -> Callable[[Progress], None]:
        """Who is told of the steps of one source."""
        told: dict[str, float] = {}

        def tell(step: Progress) -> None:
            now = time.monotonic()
            if step.state == "progress" and now - told.get(step.stage, 0.0) < _TICK:
                return
            told[step.stage] = now
            fields: dict[str, object] = {"stage": step.stage, "state": step.state}
            if step.total is not None:
                fields |= {"done": step.done or 0, "total": step.total}
            self._write(source, "stage", fields)

        return tell

    def ended(self, source: str, report: Report) -> None:
        """A source has its report."""
        fields = {
            "verdict": report.verdict,
            "outcome": report.outcome,
            "exit_code": EXIT_CODES[report.outcome],
            "duration_s": report.duration_s,
        }
        self._write(source, "end", fields)

    def failed(self, source: str, error: BaseException) -> None:
        """A source has none."""
        self._write(source, "end", {"error": sentence(error), "exit_code": code_of(error)})

    def _write(self, source: str, event: str, fields: Mapping[str, object]) -> None:
        line = json.dumps({"source": visible(source), "event": event, **fields})
        with self._lock, suppress(OSError, ValueError):  # nobody reads it any more
            self._stream.write(f"{line}\n")
            self._stream.flush()


@contextmanager
def shown(source: str, *, color: bool) -> Iterator[Callable[[Progress], None]]:
    """A line for each running stage of one source, gone when the block ends."""
    from rich import progress as bars  # noqa: PLC0415 (60 ms that only a watched run pays)
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True, markup=False, highlight=False, emoji=False, no_color=not color)
    tasks: dict[str, TaskID] = {}
    began: dict[str, float] = {}
    name = visible(Path(source).name or source, _NAME_WIDTH)
    with bars.Progress(
        bars.SpinnerColumn(),
        bars.TextColumn(name, markup=False, style="bold"),
        bars.TextColumn("{task.description}", markup=False),
        bars.BarColumn(bar_width=20),
        bars.TaskProgressColumn(),
        bars.TextColumn("{task.fields[bytes]}", markup=False, style="dim"),
        bars.TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as display:

        def show(step: Progress) -> None:
            if step.state == "start":
                began[step.stage] = time.monotonic()
                tasks[step.stage] = display.add_task(DOING[step.stage], total=step.total, bytes="")
            elif (task := tasks.get(step.stage)) is None:
                return
            elif step.state == "end":
                display.remove_task(tasks.pop(step.stage))
            else:
                told = in_bytes(step, time.monotonic() - began[step.stage])
                display.update(task, completed=step.done or 0, total=step.total, bytes=told)

        yield show


class Together:
    """Progress of several sources at once, for a person: a line for all, and one for each that is open now. Any
    thread may tell. Use it as a context manager; the lines are gone when the block ends."""

    def __init__(self, count: int, *, color: bool) -> None:
        from rich import progress as bars  # noqa: PLC0415 (60 ms that only a watched run pays)
        from rich.console import Console  # noqa: PLC0415

        console = Console(
            stderr=True, markup=False, highlight=False, emoji=False, no_color=not color
        )
        self._display = bars.Progress(
            bars.SpinnerColumn(),
            bars.TextColumn("{task.fields[source]}", markup=False, style="bold"),
            bars.TextColumn("{task.description}", markup=False),
            bars.TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._all = self._display.add_task("", total=count, source=f"0 of {count} sources")
        self._count = count
        self._verdicts: Counter[str] = Counter()
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._display.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._display.stop()

    @contextmanager
    def of(self, source: str) -> Iterator[tuple[Callable[[Progress], None], Callable[[str], None]]]:
        """The line of one source while the block runs: who is told of its steps, and of its verdict."""
        name = visible(source, _NAME_WIDTH)
        task = self._display.add_task("waiting for a sandbox", total=None, source=name)

        def show(step: Progress) -> None:
            if step.state != "end":
                told = f" {in_bytes(step, 0)}" if step.state == "progress" else ""
                self._display.update(task, description=f"{DOING[step.stage]}{told}")

        def end(verdict: str) -> None:
            with self._lock:
                self._verdicts[verdict] += 1
                counted = ", ".join(f"{n} {word}" for word, n in self._verdicts.most_common())
                done = f"{self._verdicts.total()} of {self._count} sources"
                self._display.update(self._all, description=counted, source=done)

        try:
            yield show, end
        finally:
            self._display.remove_task(task)
