"""Class: other processes. The memory of process 1, the supervisor."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/proc/1/mem", "finding": "SL302"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/proc/1/mem', 'r+b')"))
