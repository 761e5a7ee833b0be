"""What recording costs, and what more cores bring."""

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
CORES = {1: "", 2: results.CORES_2, 4: results.CORES_4}


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
    """`count` small checkpoints on 1, 2 and 4 cores, as many at a time, each in a session of its own.

    The control is work of a fixed size that needs nothing but processors, cut into as many
    processes: on a shared machine it shows what could be had meanwhile."""
    folder, tiny = work / "many", work / "tiny"
    commands.make("many", folder, count)
    sources = [str(path) for path in sorted(folder.iterdir())]
    there = [cores for cores in CORES if cores <= len(os.sched_getaffinity(0))]
    with ExitStack() as stack:
        rows = [
            ways.warm(
                _cores(cores),
                stack.enter_context(Warm(tiny, jobs=cores, cores=cores)),
                "scan_all",
                sources=sources,
            )
            for cores in there
        ]
        rows += [
            ways.fresh(f"control: {cores} busy loops", [commands.PYTHON, BUSY, str(cores)])
            for cores in there
        ]
        table = side_by_side(f"{count} small checkpoints, warm", rows, work / "out", rounds)
    shutil.rmtree(folder)
    one = table.rows[_cores(1)].median
    for cores in there[1:]:
        some = table.rows[_cores(cores)].median
        if one and some:
            figures[CORES[cores]] = one / some / cores
            alone, shared = (table.rows[f"control: {n} busy loops"].median for n in (1, cores))
            if alone and shared:
                figures[
                    f"{cores} busy loops without memory or files, against {cores} times one loop"
                ] = alone / shared / cores
    return table


def _cores(cores: int) -> str:
    return f"{cores} {'core' if cores == 1 else 'cores'}, jobs={cores}"
