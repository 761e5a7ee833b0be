"""make bench: the safe load against the unsafe one that it replaces, and against scanners, on this
machine, side by side.

Writes benchmarks/RESULTS.md and growth.svg, and exits with 1 when a bound is not met. The bounds are
for files of the default sizes: --quick prints how they stand, but writes and judges nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil
from safe_load.core.units import parse_size

from benchmarks import (
    commands,
    containers,
    growth,
    measure,
    peers,
    results,
    scaling,
    second,
    tools,
    ways,
)
from benchmarks.commands import (
    AGAIN_LOAD,
    AGAIN_SCAN,
    COLD_LOAD,
    COLD_SCAN,
    SAFE_LOAD,
    UNSAFE_MODEL,
    UNSAFE_SAVE,
)
from benchmarks.warm import Warm
from benchmarks.ways import Table, side_by_side

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
HASH, WARM_SCAN, WARM_LOAD = "`hashlib.file_digest`", "warm `scan`", "warm `load`"
COPYING = "`safe_load.export.copying`, nothing hashed"
WARM_SCAN_NO_HASH = "warm `scan`, hash=False"


@dataclass(frozen=True)
class Size:
    """How much is measured. large, medium: bytes; growth: bytes each; rounds: of each row."""

    large: int
    medium: int
    many: int
    growth: tuple[int, ...]
    rounds: int


@dataclass(frozen=True)
class Bench:
    """Where it runs, and the sessions that are measured beside fresh processes; plain: only hashes, so
    that it never makes a room."""

    work: Path
    size: Size
    session: Warm
    no_hash: Warm
    plain: Warm

    @property
    def out(self) -> Path:
        return self.work / "out"

    @property
    def kept(self) -> Path:
        """What the first of several equal loads exported."""
        return self.work / "kept"

    @property
    def scratch(self) -> Path:
        return self.work / "scratch"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench")
    parser.add_argument("--size", default="2GiB", help="size of the large files (default 2GiB)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each row (default 3)")
    parser.add_argument("--quick", action="store_true", help="small files, one run of each row")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these tables alone, printed only")
    options = parser.parse_args()
    size = Size(
        large=parse_size(options.size),
        medium=500 * 10**6,
        many=200,
        growth=tuple(int(gigabytes * growth.GB) for gigabytes in growth.SIZES_GB),
        rounds=options.rounds,
    )
    if options.quick:
        sizes = (32 << 20, 128 << 20)
        size = Size(large=128 << 20, medium=64 << 20, many=20, growth=sizes, rounds=0)

    peers.stay_offline()
    with tempfile.TemporaryDirectory(prefix="safe-load-bench-", dir=_roomy(4 * size.large)) as name:
        work = Path(name)
        os.environ["SAFE_LOAD_HOME"] = str(work / "records")
        tiny = work / "tiny"
        commands.make("tiny", tiny, 0)
        commands.make("encoder", work / "encoder", 0)
        figures: dict[str, float] = {}
        tables: list[Table] = []
        with Warm(tiny) as session, Warm(tiny, hash=False) as no_hash, Warm(tiny) as plain:
            bench = Bench(work, size, session, no_hash, plain)
            for part in options.only or PARTS:
                tables += PARTS[part](bench, figures)
        points: list[growth.Point] = []
        ended = ""
        if not options.only:
            points, ended = growth.measured(work, size.growth, min(1, size.rounds))
        notes = [f"files on {_file_system(work)}, {size.rounds or 1} runs of each row"]
        notes += [
            f"{peer.name} could not be installed" for peer in peers.PEERS if not peer.installed
        ]
    figures[results.HELP] = 1000 * median(
        measure.run([SAFE_LOAD, "--help"]).seconds for _ in range(7 * size.rounds or 3)
    )
    more = growth.section(points, ended) if points else ""
    text = results.render(tables, figures, notes, more)
    print("\n" + text)
    if options.quick or options.only:
        return
    (HERE / "RESULTS.md").write_text(text)
    growth.draw(points, HERE / "growth.svg")
    if broken := results.broken(figures):
        raise SystemExit("not met: " + "\n         ".join(broken))


def _large_zip(bench: Bench, figures: dict[str, float]) -> Table:
    table = _files("zip", "A torch zip", bench.size.large, bench, everything=True)
    unsafe, load = table.rows[UNSAFE_SAVE], table.rows[COLD_LOAD]
    copying = table.rows["`cp`"]
    planning = table.rows[WARM_SCAN].stage("extract")
    figures[results.EXTRACTION] = (planning + _of(table.rows[COPYING])) / _of(copying)
    figures[results.COLD_LOAD] = _of(load) / _of(unsafe)
    assert load.cpu is not None
    assert unsafe.cpu is not None
    figures[results.COLD_CPU] = load.cpu / unsafe.cpu
    figures[results.AGAIN_LOAD] = _of(table.rows[AGAIN_LOAD])
    figures[results.AGAIN_SCAN] = _of(table.rows[AGAIN_SCAN])
    figures[results.COLD_MEMORY] = load.memory.tree / unsafe.memory.tree
    figures[results.WORKER] = load.memory.without_torch / 1e6
    figures[results.WARM_HASH] = _of(table.rows[WARM_SCAN]) / _of(table.rows[HASH])
    _against(figures, results.WARM_PICKLESCAN, table, WARM_SCAN_NO_HASH, "picklescan")
    name = "extraction of the torch zip in a cold load (with room and hash of the copy), against"
    figures[f"{name} cp"] = load.stage("extract") / _of(copying)
    figures[f"{name} hashing"] = load.stage("extract") / _of(table.rows[HASH])
    return table


def _medium_zip(bench: Bench, figures: dict[str, float]) -> Table:
    table = _files("zip", "A torch zip", bench.size.medium, bench)
    _against(figures, results.COLD_MODELAUDIT, table, COLD_SCAN, "modelaudit")
    _against(figures, results.COLD_SAFELOADAI, table, COLD_SCAN, "safeloadai")
    return table


def _tiny_model(bench: Bench, figures: dict[str, float]) -> Table:
    table = _model("A tiny BERT", bench.work / "tiny", bench)
    unsafe, scan = _of(table.rows[UNSAFE_MODEL]), _of(table.rows[WARM_SCAN])
    figures[results.WARM_TINY] = scan
    figures[results.WARM_TINY_UNSAFE] = scan / unsafe
    figures[results.COLD_TINY] = _of(table.rows[COLD_SCAN]) / unsafe
    return table


def _real_encoder(bench: Bench) -> Table:
    return _model(
        "A real sentence encoder, 90 MB, with config and tokenizer", bench.work / "encoder", bench
    )


def _files(kind: str, title: str, size: int, bench: Bench, *, everything: bool = False) -> Table:
    """Weights without a config. everything: also ways that are measured on one file only."""
    folder, out = bench.work / kind, bench.out
    commands.make(kind, folder, size)
    files = sorted(folder.glob("*.bin"))
    source = files[0] if len(files) == 1 else folder
    total = sum(file.stat().st_size for file in files)
    rows = [
        commands.unsafe_save(files, out),
        *(commands.traced(files, out) if everything else []),
        *([commands.unsafe_save(files, out, "--mmap")] if kind != "legacy" else []),
        commands.weights_only(files),
        commands.copy(source, out),
        ways.warm(HASH, bench.plain, "digest", files=list(map(str, files))),
        ways.warm(COPYING, bench.plain, "copy", files=list(map(str, files)), target=str(out)),
        *_ours(source, bench),
        *commands.peers(source, bench.scratch),
    ]
    table = side_by_side(f"{title}, {total / 1e9:.2f} GB", rows, out, bench.size.rounds)
    shutil.rmtree(folder)
    shutil.rmtree(bench.kept)
    return table


def _model(title: str, folder: Path, bench: Bench) -> Table:
    """A folder that transformers opens."""
    files = [folder / "pytorch_model.bin"]
    rows = [
        commands.from_pretrained(folder),
        commands.unsafe_save(files, bench.out),
        commands.weights_only(files),
        commands.copy(folder, bench.out),
        *_ours(folder, bench),
        *commands.peers(folder, bench.scratch),
    ]
    table = side_by_side(title, rows, bench.out, bench.size.rounds)
    shutil.rmtree(bench.kept)
    return table


def _ours(source: Path, bench: Bench) -> list[ways.Way]:
    out, name = bench.out, str(source)
    return [
        commands.safe("scan", source, out),
        commands.safe("load", source, out),
        commands.unchanged("scan", source, bench.kept),
        commands.unchanged("load", source, bench.kept),
        ways.warm(WARM_SCAN, bench.session, "scan", source=name),
        ways.warm(WARM_SCAN_NO_HASH, bench.no_hash, "scan", source=name),
        ways.warm(WARM_LOAD, bench.session, "load", source=name, target=str(out)),
    ]


def _against(figures: dict[str, float], name: str, table: Table, ours: str, peer: str) -> None:
    """Set a ratio to a peer, if the peer is there and answered."""
    if peer in table.rows and (theirs := table.rows[peer].median) is not None:
        figures[name] = _of(table.rows[ours]) / theirs


def _of(row: ways.Row) -> float:
    assert row.median is not None
    return row.median


def _roomy(size: int) -> str:
    """A tmpfs, where no disk has a say, if it and the memory have room; else the temporary folder."""
    shm = "/dev/shm"
    if (
        Path(shm).is_dir()
        and min(shutil.disk_usage(shm).free, psutil.virtual_memory().available) > size
    ):
        return shm
    return tempfile.gettempdir()


def _file_system(path: Path) -> str:
    mounts = [m for m in psutil.disk_partitions(all=True) if path.is_relative_to(m.mountpoint)]
    return str(max(mounts, key=lambda mount: len(mount.mountpoint)).fstype)


PARTS: dict[str, Callable[[Bench, dict[str, float]], list[Table]]] = {
    "zip": lambda bench, figures: [_large_zip(bench, figures)],
    "sharded": lambda bench, _: [
        _files("sharded", "A sharded checkpoint with its index", bench.size.large, bench)
    ],
    "medium": lambda bench, figures: [_medium_zip(bench, figures)],
    "legacy": lambda bench, _: [
        _files("legacy", "A legacy torch file", bench.size.medium // 2, bench)
    ],
    "encoder": lambda bench, _: [_real_encoder(bench)],
    "second": lambda bench, figures: [
        second.encoder(bench.work, figures, 9 * bench.size.rounds or 5),
        second.guarded(bench.work, figures, 9 * bench.size.rounds or 5),
    ],
    "tiny": lambda bench, figures: [_tiny_model(bench, figures)],
    "docker": lambda bench, figures: containers.backends(
        bench.work, figures, 3 * bench.size.rounds
    ),
    "tools": lambda bench, figures: [
        tools.wrapped(bench.work, figures, 9 * bench.size.rounds or 5)
    ],
    "recorder": lambda bench, figures: scaling.recorder(
        bench.work, figures, 7 * bench.size.rounds or 3
    ),
    "many": lambda bench, figures: [
        scaling.many(bench.work, bench.size.many, figures, bench.size.rounds)
    ],
}


if __name__ == "__main__":
    main()
