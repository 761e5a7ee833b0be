"""What recording costs, and what more jobs at a time bring."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks import commands, results, ways
from benchmarks.warm import Warm
from benchmarks.ways import Sample, Table, Way, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Memory

BUSY = commands.HERE / "busy.py"
JOBS = {1: "", 2: results.JOBS_2, 4: results.JOBS_4}


def recorder(work: Path, figures: dict[str, float], rounds: int) -> list[Table]:
    """The detonation alone (of a warm scan), with the standard recording and without what it tells
    of allowed calls."""
    tiny, tables = work / "tiny", []
    with Warm(tiny) as told, Warm(tiny, denied_only=True) as quiet:
        for name, source, figure in (
            ("a tiny model", tiny, results.RECORDER),
            ("the encoder", work / "encoder", results.RECORDER_REAL),
        ):
            rows = [
                _detonation("denied calls only", quiet, source),
                _detonation("standard recording", told, source),
            ]
            table = side_by_side(
                f"Recording the detonation of {name}, warm", rows, work / "out", rounds
            )
            base, standard = (row.stage("detonate") for row in table.rows.values())
            figures[figure] = standard / base
            tables.append(table)
    return tables


def _detonation(label: str, session: Warm, source: Path) -> Way:
    scan = ways.warm(label, session, "scan", source=str(source))

    def once(memory: Memory | None) -> Sample:
        sample = scan.once(memory)
        return Sample(sample.stages["detonate"], sample.stages)

    return Way(label, once)


def many(work: Path, count: int, figures: dict[str, float], rounds: int) -> Table:
    """`count` small checkpoints with 1, 2 and 4 jobs at a time, each in a session of its own.

    The control is work of a fixed size that needs nothing but processors, cut into as many
    processes: on a shared machine it shows what could be had meanwhile."""
    folder, tiny = work / "many", work / "tiny"
    commands.make("many", folder, count)
    sources = [str(path) for path in sorted(folder.iterdir())]
    with ExitStack() as stack:
        rows = [
            ways.warm(
                f"jobs={jobs}",
                stack.enter_context(Warm(tiny, jobs=jobs)),
                "scan_all",
                sources=sources,
            )
            for jobs in JOBS
        ]
        rows += [
            ways.fresh(f"control: {jobs} busy loops", [commands.PYTHON, BUSY, str(jobs)])
            for jobs in JOBS
        ]
        table = side_by_side(f"{count} small checkpoints, warm", rows, work / "out", rounds)
    shutil.rmtree(folder)
    one = table.rows["jobs=1"].median
    for jobs, figure in JOBS.items():
        some = table.rows[f"jobs={jobs}"].median
        if figure and one and some and jobs <= len(os.sched_getaffinity(0)):
            figures[figure] = one / some / jobs
            alone, shared = (table.rows[f"control: {n} busy loops"].median for n in (1, jobs))
            if alone and shared:
                figures[f"the same for {jobs} busy loops that need nothing but processors"] = (
                    alone / shared / jobs
                )
    return table
