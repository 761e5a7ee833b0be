"""What the second load of a model costs, when the vault has it already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks import results
from benchmarks.ways import Row, Sample, Table
from demo.encoder import installed_folder

if TYPE_CHECKING:
    from pathlib import Path

_LABELS = {
    "stock": "stock `from_pretrained` of its safetensors",
    "safe": "`safe_load.transformers`, from the vault",
}


def encoder(work: Path, figures: dict[str, float], rounds: int) -> Table:
    """The real encoder, in turns with the stock library."""
    before = os.getloadavg()[0]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.again", str(installed_folder()), str(rounds)],
        env={**os.environ, "SAFE_LOAD_HOME": str(work / "vault"), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        check=True,
    )
    times = json.loads(done.stdout)
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
