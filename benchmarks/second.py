"""What the second load of a model costs, when the cache has it already."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks import results
from benchmarks.ways import Row, Sample, Table
from demo.encoder import installed_folder

if TYPE_CHECKING:
    from pathlib import Path

_GUARDED = {"stock": "stock `torch.load`", "guard": "`torch.load` in a guard"}
_LABELS = {
    "stock": "stock `from_pretrained` of its safetensors",
    "safe": "`safe_load.transformers`, from the cache",
}


def _measured(module: str, folder: str, work: Path, rounds: int) -> dict[str, list[float]]:
    """What a program of this folder prints for a folder of models."""
    done = subprocess.run(
        [sys.executable, "-m", module, folder, str(rounds)],
        env={**os.environ, "SAFE_LOAD_HOME": str(work / "cache"), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    times: dict[str, list[float]] = json.loads(done.stdout)
    return times


def guarded(work: Path, figures: dict[str, float], rounds: int) -> Table:
    """Checkpoints of 1.6 MB with their optimizer, each loaded once, in one guarded process."""
    before = os.getloadavg()[0]
    folder = work / "guarded"
    folder.mkdir()
    times = _measured("benchmarks.guarded", str(folder), work, rounds)
    rows = {
        label: Row(label, [Sample(seconds) for seconds in times[name]])
        for name, label in _GUARDED.items()
    }
    figures[results.GUARDED] = statistics.median(times["guard"])
    title = "A further checkpoint in a guarded process, 1.6 MB, not in the cache"
    return Table(title, rows, (before, os.getloadavg()[0]))


def encoder(work: Path, figures: dict[str, float], rounds: int) -> Table:
    """The real encoder, in turns with the stock library."""
    before = os.getloadavg()[0]
    times = _measured("benchmarks.again", str(installed_folder()), work, rounds)
    rows = {
        label: Row(label, [Sample(seconds) for seconds in times[name]])
        for name, label in _LABELS.items()
    }
    stock, safe = (row.median for row in rows.values())
    assert stock is not None
    assert safe is not None
    figures[results.SECOND] = safe / stock
    title = "The second load of a real encoder, 90 MB, in one process"
    return Table(title, rows, (before, os.getloadavg()[0]))
