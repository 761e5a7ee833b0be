"""How time and memory of a load grow with the size of the file, safe and unsafe, and a plot of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from benchmarks import commands, plot
from benchmarks.ways import side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GB = 10**9
SIZES_GB = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: The file, its copy and the tensors in memory are there at once, on a tmpfs; and some air.
ROOM = 3.3
#: Above 4 GB, free memory that others on the machine may need.
SPARE = 12 * GB


@dataclass(frozen=True)
class Point:
    """One size. size, memory: bytes; time: seconds. Each pair is (unsafe, safe)."""

    size: int
    time: tuple[float, float]
    memory: tuple[int, int]


def measured(work: Path, sizes: Sequence[int], rounds: int) -> tuple[list[Point], str]:
    """A point for each size that fits, and a sentence on where it ended and why."""
    points: list[Point] = []
    for size in sizes:
        free = min(psutil.virtual_memory().available, shutil.disk_usage(work).free)
        if free < ROOM * size or (size > 4 * GB and free < SPARE):
            return points, (
                f"{size / GB:g} GB were not measured: file, copy and tensors need {ROOM * size / GB:.0f} GB "
                f"of memory at once, and {free / GB:.0f} GB were free."
            )
        points.append(_point(work, size, rounds))
    return points, "All sizes fitted into memory."


def _point(work: Path, size: int, rounds: int) -> Point:
    folder = work / "growth"
    commands.make("zip", folder, size)
    source, out = folder / "weights.bin", work / "out"
    exact = source.stat().st_size
    ways = [commands.unsafe_save([source], out), commands.safe("load", source, out)]
    table = side_by_side(f"growth, {size / GB:g} GB", ways, out, rounds)
    shutil.rmtree(folder)
    unsafe, safe = table.rows.values()
    return Point(
        exact,
        (min(unsafe.times), min(safe.times)),
        (unsafe.memory.tree, safe.memory.tree),
    )


def section(points: list[Point], ended: str) -> str:
    """The part of RESULTS.md about growth."""
    lines = [
        "## Growth with the size of a torch zip",
        "",
        f"Cold loads of one file at a time; one run for the time and one for the memory. {ended}",
        "",
        "![time and memory over size](growth.svg)",
        "",
        "| size | `torch.load` + `save_file` | `safe-load load` | ratio | memory, unsafe | memory, safe | ratio |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for point in points:
        (slow, fast), (large, small) = point.time, point.memory
        lines.append(
            f"| {point.size / GB:.2f} GB | {slow:.2f} s | {fast:.2f} s | {fast / slow:.2f} "
            f"| {large / 1e6:,.0f} MB | {small / 1e6:,.0f} MB | {small / large:.2f} |"
        )
    return "\n".join(lines)


def draw(points: list[Point], file: Path) -> None:
    """Write the plot."""
    sizes = [point.size / GB for point in points]
    labels = ("torch.load + save_file", "safe-load load")
    panels = [
        plot.Panel(title, unit, sizes, {label: values[n] for n, label in enumerate(labels)})
        for title, unit, values in (
            ("Time", "s", list(zip(*(point.time for point in points), strict=True))),
            (
                "Peak memory of all processes",
                "GB",
                [
                    tuple(m / GB for m in row)
                    for row in zip(*(p.memory for p in points), strict=True)
                ],
            ),
        )
    ]
    file.write_text(plot.svg(panels, "size of the torch zip, GB"))
