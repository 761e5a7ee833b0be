"""make bench: the safe load against the unsafe one that it replaces, on this machine, side by side.

Writes benchmarks/RESULTS.md and exits with 1 when a bound is not met. The bounds are for the file of
the default size: --quick prints how they stand, but writes and judges nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil
from safe_load.profiles.units import parse_size

from benchmarks import measure
from benchmarks.results import Row, Table, render, verdicts
from demo import encoder

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
PYTHON = sys.executable
SAFE_LOAD = Path(sys.executable).parent / "safe-load"
Command = list[str | Path]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, prog="make bench")
    parser.add_argument("--size", default="2G", help="size of the torch zip (default 2G)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each row (default 3)")
    parser.add_argument(
        "--quick", action="store_true", help="a small file, one run, under a minute"
    )
    options = parser.parse_args()
    size = parse_size("256M" if options.quick else options.size)
    rounds = 1 if options.quick else options.rounds

    with tempfile.TemporaryDirectory(prefix="safe-load-bench-", dir=_roomy(5 * size)) as folder:
        work = Path(folder)
        weights, figures = torch_zip(work, size, rounds)
        tables = [weights, real_model(work, rounds)]
        figures["safe-load --help"] = 1000 * median(
            measure.seconds([SAFE_LOAD, "--help"]) for _ in range(5 if options.quick else 20)
        )
        text = render(
            tables, figures, [f"files on {_file_system(work)}, {rounds} run(s) of each row"]
        )
    print("\n" + text)
    if options.quick:
        return
    (HERE / "RESULTS.md").write_text(text)
    broken = [bound.figure for bound, _, met in verdicts(figures) if not met]
    if broken:
        raise SystemExit(f"not met: {', '.join(broken)}")


def torch_zip(work: Path, size: int, rounds: int) -> tuple[Table, dict[str, float]]:
    """Weights alone. Also gives the figures of the extraction, from the safe load's own report."""
    source, out, report = work / "weights.bin", work / "out", work / "report.json"
    measure.seconds([PYTHON, HERE / "make_checkpoint.py", source, str(size)])
    unsafe = HERE / "unsafe" / "load_and_save.py"
    commands: dict[str, Command] = {
        "`torch.load` + `save_file`": [PYTHON, unsafe, source, out],
        "`torch.load(mmap=True)` + `save_file`": [PYTHON, unsafe, source, out, "mmap"],
        "`safe-load load`": [SAFE_LOAD, "load", source, "-o", out, "--report", f"json={report}"],
        "`cp` (no load at all)": ["cp", source, out],
    }
    extraction: list[float] = []

    def note(label: str) -> None:
        if label == "`safe-load load`":
            stages = json.loads(report.read_bytes())["stages"]
            extraction.append(sum(s["duration_s"] for s in stages if s["name"] == "extract"))

    title = f"A torch zip of {source.stat().st_size / 1e9:.2f} GB, to safetensors"
    table = _side_by_side(title, commands, out, rounds, note)
    source.unlink()
    safe = table.rows["`safe-load load`"]
    unsafe_time = table.rows[table.baseline].median
    return table, {
        "cold load of the torch zip, against torch.load + save_file": safe.median / unsafe_time,
        "memory of the extraction worker": safe.memory.without_torch / 1e6,
        "extraction alone, against torch.load + save_file": median(extraction) / unsafe_time,
    }


def real_model(work: Path, rounds: int) -> Table:
    """A sentence encoder whose weights are in a pickle, with config and tokenizer."""
    source, out = work / "encoder", work / "out"
    encoder.write_as_pickle(encoder.installed_folder(), source, {})
    commands: dict[str, Command] = {
        "`AutoModel.from_pretrained`": [PYTHON, HERE / "unsafe" / "from_pretrained.py", source],
        "`safe-load scan`": [SAFE_LOAD, "scan", source],
        "`safe-load load`": [SAFE_LOAD, "load", source, "-o", out],
    }
    return _side_by_side("A real encoder of 90 MB", commands, out, rounds)


def _side_by_side(
    title: str,
    commands: dict[str, Command],
    out: Path,
    rounds: int,
    after_each: Callable[[str], None] = lambda _: None,
) -> Table:
    """Every command once for its memory (which also warms the caches), then in turns for its time."""
    memories, times = {}, {label: list[float]() for label in commands}
    labels = list(commands)
    for label in labels:
        print(f"{title}: {label}: memory", file=sys.stderr, flush=True)
        memories[label] = measure.memory(commands[label], out.with_name("log"))
        _remove(out)
    for turn in range(rounds):
        for label in labels if turn % 2 == 0 else reversed(labels):
            times[label].append(measure.seconds(commands[label]))
            print(f"{title}: {label}: {times[label][-1]:.2f} s", file=sys.stderr, flush=True)
            after_each(label)
            _remove(out)
    rows = {label: Row(label, times[label], memories[label]) for label in labels}
    return Table(title, labels[0], rows)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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


if __name__ == "__main__":
    main()
