"""What was measured, as markdown, and whether it stays within the bounds that the project promises."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING

from benchmarks import peers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.ways import Row, Table


@dataclass(frozen=True)
class Bound:
    """A promise about one figure: it is at most `limit` (or at least, where least), in its unit."""

    figure: str
    limit: float
    unit: str = "x"
    least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit


EXTRACTION = "extraction of the torch zip (reading and copying, warm, without the hash), against cp"
COLD_LOAD = "cold load of the torch zip, against torch.load + save_file"
COLD_CPU = "processor seconds of a cold load of the torch zip, against torch.load + save_file"
AGAIN_LOAD = "load of the torch zip when an earlier run has opened it"
AGAIN_SCAN = "scan of the torch zip when an earlier run has opened it"
COLD_MEMORY = "peak memory of a cold load of the torch zip, whole process tree, against torch.load + save_file"
WARM_HASH = "warm scan of the torch zip, against hashing it"
WARM_PICKLESCAN = "warm scan of the torch zip without hashing, against picklescan"
COLD_MODELAUDIT = "cold scan of the medium torch zip, against modelaudit"
COLD_SAFELOADAI = "cold scan of the medium torch zip, against safeloadai"
WARM_TINY = "warm scan of a tiny model, depth model"
WARM_TINY_UNSAFE = "warm scan of a tiny model, against a fresh unsafe from_pretrained"
COLD_TINY = "cold scan of a tiny model, against a fresh unsafe from_pretrained"
CORES_2 = "many small models on 2 cores: models per second, against twice those of 1 core"
CORES_4 = "many small models on 4 cores: models per second, against four times those of 1 core"
RECORDER = "detonation with the standard recording, against denied calls only (tiny model)"
RECORDER_REAL = "detonation with the standard recording, against denied calls only (encoder)"
SECOND = "second load of the encoder, from the cache, against stock from_pretrained"
GUARDED = "further checkpoint in a guarded process, not in the cache"
WARM_DOCKER = "warm load of a tiny model with docker, against native"
COLD_DOCKER = (
    "cold load of a tiny model with docker, against `docker run` and the native one together"
)
WRAP = "start of an MCP server through `safe-load mcp wrap`, beyond its start alone"
WORKER = "memory of the extraction worker"
HELP = "safe-load --help"

BOUNDS = (
    Bound(EXTRACTION, 1.3),
    Bound(COLD_LOAD, 0.5),
    Bound(COLD_CPU, 0.7),
    Bound(AGAIN_LOAD, 0.6, "s"),
    Bound(AGAIN_SCAN, 0.6, "s"),
    Bound(COLD_MEMORY, 0.25),
    Bound(WARM_HASH, 1.2),
    Bound(WARM_PICKLESCAN, 1.0),
    Bound(COLD_MODELAUDIT, 1.0),
    Bound(COLD_SAFELOADAI, 1.0),
    Bound(SECOND, 1.1),
    Bound(GUARDED, 0.25, "s"),
    Bound(WARM_TINY, 0.15, "s"),
    Bound(WARM_TINY_UNSAFE, 1 / 20),
    Bound(COLD_TINY, 1.1),
    Bound(CORES_2, 0.8, least=True),
    Bound(CORES_4, 0.8, least=True),
    Bound(RECORDER, 1.1),
    Bound(RECORDER_REAL, 1.1),
    Bound(WARM_DOCKER, 3.0),
    Bound(COLD_DOCKER, 1.0),
    Bound(WRAP, 0.3, "s"),
    Bound(WORKER, 100.0, "MB"),
    Bound(HELP, 150.0, "ms"),
)


def broken(figures: Mapping[str, float]) -> list[str]:
    """The figures that were measured and are out of bounds."""
    return [
        bound.figure
        for bound in BOUNDS
        if bound.figure in figures and not bound.met(figures[bound.figure])
    ]


def render(tables: list[Table], figures: Mapping[str, float], notes: list[str], more: str) -> str:
    """The whole of RESULTS.md. more: sections that stand between the tables and the end."""
    lines = [
        "# Measured",
        "",
        "`make bench` writes this page. Each time is the median of several runs. The rows of a table run",
        "in turns, on one machine with a warm page cache: compare the ratios, not the seconds. *Cold* is a",
        "fresh process. *Warm* is a `safe_load.Session` whose sandbox is built already. Memory is the peak",
        "of the proportional set size (PSS), summed over the whole process tree, in a separate run. *Processor*:",
        "seconds in user and kernel mode, of the whole process tree.",
        "",
        *(f"- {note}" for note in [*_machine(), *notes]),
        "",
        "## Bounds",
        "",
        "| figure | measured | bound | |",
        "|---|--:|--:|---|",
        *(_bound(bound, figures.get(bound.figure)) for bound in BOUNDS),
    ]
    promised = {bound.figure for bound in BOUNDS}
    others = [f"- {name}: {value:.4g}" for name, value in figures.items() if name not in promised]
    lines += ["", "Figures without a bound:", "", *others] if others else []
    for table in tables:
        lines += ["", f"## {table.title}", ""]
        lines += [f"Load average {table.load[0]:.1f} before, {table.load[1]:.1f} after.", ""]
        lines += ["| | median | ratio | range | processor | peak memory | |"]
        lines += ["|---|--:|--:|--:|--:|--:|---|"]
        base = next(iter(table.rows.values())).median
        lines += [_row(row, base) for row in table.rows.values()]
    return "\n".join([*lines, "", more]).rstrip() + "\n"


def _bound(bound: Bound, value: float | None) -> str:
    word = "at least" if bound.least else "at most"
    if value is None:
        return f"| {bound.figure} | not measured | {word} {bound.limit:.3g} {bound.unit} | |"
    met = "met" if bound.met(value) else "**not met**"
    return f"| {bound.figure} | {value:.3g} {bound.unit} | {word} {bound.limit:.3g} {bound.unit} | {met} |"


def _row(row: Row, base: float | None) -> str:
    if row.median is None:
        return f"| {row.label} | | | | | | {row.note} |"
    ratio = f"{row.median / base:.3g}" if base else ""
    at_most = "" if row.memory.exact else "≤ "
    memory = f"{at_most}{row.memory.tree / 1e6:,.0f} MB" if row.memory.tree else ""
    return (
        f"| {row.label} | {_seconds(row.median)} | {ratio} "
        f"| {_seconds(min(row.times))} to {_seconds(max(row.times))} "
        f"| {'' if row.cpu is None else _seconds(row.cpu)} | {memory} | {row.note} |"
    )


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def _machine() -> list[str]:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers"))
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, safe-load {metadata.version('safe-load')}{_commit()}, as {user}",
        f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GB of memory, {platform.system()} {platform.release()}",
        f"Python {platform.python_version()}, {versions}",
        f"peers: {peers.pinned()}",
    ]


def _commit() -> str:
    """The commit of the working tree, where git knows one."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return f" ({done.stdout.strip()})" if done.returncode == 0 else ""


def _processor() -> str:
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
