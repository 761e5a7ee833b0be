"""What was measured, as markdown, and whether it stays within the bounds that the project promises."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Memory


@dataclass(frozen=True)
class Row:
    """One way to do one thing. times: of every run, in seconds."""

    label: str
    times: list[float]
    memory: Memory

    @property
    def median(self) -> float:
        return median(self.times)


@dataclass(frozen=True)
class Table:
    """Rows measured side by side. baseline: the label whose time is 1.00."""

    title: str
    baseline: str
    rows: dict[str, Row]


@dataclass(frozen=True)
class Bound:
    """A promise about one figure: it is at most `limit`, in the figure's own unit."""

    figure: str
    limit: float
    unit: str


BOUNDS = (
    Bound("cold load of the torch zip, against torch.load + save_file", 1.0, "x"),
    Bound("memory of the extraction worker", 100.0, "MB"),
    Bound("safe-load --help", 150.0, "ms"),
)


def verdicts(figures: Mapping[str, float]) -> list[tuple[Bound, float, bool]]:
    """Each bound with its figure and whether it is met."""
    return [
        (bound, figures[bound.figure], figures[bound.figure] <= bound.limit) for bound in BOUNDS
    ]


def render(tables: list[Table], figures: Mapping[str, float], notes: list[str]) -> str:
    """The whole of RESULTS.md."""
    lines = [
        "# Measured",
        "",
        "Written by `make bench`. Times are medians of runs side by side, in turns, each in a fresh",
        "process on one machine; compare the ratios, not the seconds. Memory is the peak of the",
        "proportional size (PSS) summed over the whole process tree, from a run of its own.",
        "",
        *(f"- {note}" for note in [*_machine(), *notes]),
    ]
    for table in tables:
        base = table.rows[table.baseline]
        lines += ["", f"## {table.title}", "", "| | median | ratio | range | peak memory |"]
        lines += ["|---|--:|--:|--:|--:|"]
        for row in table.rows.values():
            at_most = "" if row.memory.exact else "≤ "
            lines.append(
                f"| {row.label} | {row.median:.2f} s | {row.median / base.median:.2f} "
                f"| {min(row.times):.2f}-{max(row.times):.2f} s | {at_most}{row.memory.tree / 1e6:,.0f} MB |"
            )
    lines += ["", "## Bounds", "", "| figure | measured | at most | |", "|---|--:|--:|---|"]
    for bound, value, met in verdicts(figures):
        lines.append(
            f"| {bound.figure} | {value:.4g} {bound.unit} | {bound.limit:g} {bound.unit} "
            f"| {'met' if met else '**not met**'} |"
        )
    others = [name for name in figures if name not in {bound.figure for bound in BOUNDS}]
    lines += ["", *(f"{name}: {figures[name]:.4g}." for name in others)]
    return "\n".join(lines).rstrip() + "\n"


def _machine() -> list[str]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers"))
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, safe-load {metadata.version('safe-load')}, as {user}",
        f"{os.cpu_count()} cores, {_memory_gb():.0f} GB of memory, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {versions}",
    ]


def _memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
