"""How much later an MCP server answers its first question when it runs in a room."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from benchmarks import results
from benchmarks.commands import SAFE_LOAD
from benchmarks.ways import Row, Sample, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_SERVER = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"jsonrpc": "2.0", "id": json.loads(line)["id"], "result": {"tools": []}}), flush=True)
"""
_QUESTION = b'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}\n'


def wrapped(work: Path, figures: dict[str, float], rounds: int) -> Table:
    """The server alone and through `mcp wrap`, in turns: from the start of the command to its first answer.

    The figure is the median of the differences of each turn."""
    before = os.getloadavg()[0]
    folder = work / "server"
    folder.mkdir()
    (folder / "server.py").write_text(_SERVER)
    alone = [sys.executable, str(folder / "server.py")]
    ways = {
        "the server alone": alone,
        "`safe-load mcp wrap`": [str(SAFE_LOAD), "mcp", "wrap", "--", *alone],
    }
    rows = {label: Row(label) for label in ways}
    for _ in range(rounds + 1):  # the first one warms the caches
        for label, command in ways.items():
            rows[label].samples.append(Sample(_first_answer(command)))
    for row in rows.values():
        del row.samples[0]
    bare, ours = (row.times for row in rows.values())
    figures[results.WRAP] = median(late - early for early, late in zip(bare, ours, strict=True))
    return Table("The first answer of an MCP server", rows, (before, os.getloadavg()[0]))


def _first_answer(command: Sequence[str]) -> float:
    """Seconds until a server that is started now has answered."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(_QUESTION)
        process.stdin.flush()
        answer = process.stdout.readline()
        took = time.perf_counter() - began
        process.stdin.close()
    assert answer, "the server did not answer"
    return took
