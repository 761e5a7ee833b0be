"""Ways to do one thing, measured side by side."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import measure
from benchmarks.measure import Command, CommandFailedError, Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.warm import Warm

SLOW_S = 10.0
"""Somebody else's program that takes longer than this, in seconds, is run once."""


@dataclass(frozen=True)
class Sample:
    """One run. seconds: wall time; cpu: processor seconds of a fresh process and of all that it started; stages: of safe-load's report; note: what a reader should know."""

    seconds: float
    stages: dict[str, float] = field(default_factory=dict)
    note: str = ""
    cpu: float | None = None


@dataclass(frozen=True)
class Way:
    """One way to do a thing. once: does it, and weighs it when given a Memory. may_fail: a failure is
    a line in the table, not the end."""

    label: str
    once: Callable[[Memory | None], Sample]
    may_fail: bool = False


@dataclass
class Row:
    """What was measured of one way. samples: of every run but the one that was weighed."""

    label: str
    samples: list[Sample] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    note: str = ""

    @property
    def times(self) -> list[float]:
        return [sample.seconds for sample in self.samples]

    @property
    def median(self) -> float | None:
        """Seconds; None for a way that failed."""
        return median(self.times) if self.samples else None

    @property
    def cpu(self) -> float | None:
        """Processor seconds; None for what does not run in a fresh process."""
        known = [sample.cpu for sample in self.samples if sample.cpu is not None]
        return median(known) if known else None

    def stage(self, name: str) -> float:
        """The median of one stage of the report, in seconds."""
        return median(sample.stages[name] for sample in self.samples)


@dataclass(frozen=True)
class Table:
    """Rows measured side by side; the first one's time is 1.00. load: the machine's load average
    (of one minute) before and after."""

    title: str
    rows: dict[str, Row]
    load: tuple[float, float]


def fresh(
    label: str,
    command: Command,
    *,
    report: Path | None = None,
    answers: frozenset[int] | None = None,
) -> Way:
    """A command in a fresh process. report: a JSON report that it writes. answers: exit codes of
    somebody else's program that are answers; other failures of it do not end the measurement."""

    def once(memory: Memory | None) -> Sample:
        done = measure.run(command, answers or frozenset({0}), memory)
        stages = json.loads(report.read_bytes())["stages"] if report else []
        return Sample(
            done.seconds,
            {stage["name"]: stage["duration_s"] for stage in stages},
            f"exit {done.code}" if done.code else "",
            done.cpu,
        )

    return Way(label, once, may_fail=answers is not None)


def warm(label: str, session: Warm, do: str, **details: Any) -> Way:
    """An order to a warm session."""

    def once(memory: Memory | None) -> Sample:
        if memory is None:
            answer = session.order(do, **details)
        else:
            answer = session.weigh(memory, do, **details)
        return Sample(answer.seconds, answer.stages)

    return Way(label, once)


def side_by_side(title: str, ways: list[Way], out: Path, rounds: int) -> Table:
    """Every way once for its memory (which also warms the caches), then in turns for its time.

    out: a file or folder that ways may make; it is removed after each run. rounds: how many turns;
    with 0, the time of the first run has to do.
    """
    before = os.getloadavg()[0]
    rows = {way.label: Row(way.label) for way in ways}
    turns = list(ways)
    for way in ways:
        row = rows[way.label]
        try:
            sample = way.once(row.memory)
        except CommandFailedError as error:
            if not way.may_fail:
                raise
            row.note = str(error).splitlines()[0]
            turns.remove(way)
            continue
        finally:
            _remove(out)
        row.note = sample.note
        if rounds == 0:
            row.samples.append(sample)
        elif way.may_fail and sample.seconds > SLOW_S:
            row.samples.append(sample)
            row.note = "; ".join(
                filter(None, [sample.note, "one run, while its memory was watched"])
            )
            turns.remove(way)
        _tell(title, way, f"{row.memory.tree / 1e6:,.0f} MB, {sample.seconds:.2f} s")
    for turn in range(rounds):
        for way in turns if turn % 2 == 0 else reversed(turns):
            sample = way.once(None)
            _remove(out)
            rows[way.label].samples.append(sample)
            _tell(title, way, f"{sample.seconds:.3f} s")
    return Table(title, rows, (before, os.getloadavg()[0]))


def _tell(title: str, way: Way, what: str) -> None:
    print(f"{title}: {way.label}: {what}", file=sys.stderr, flush=True)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
