"""Class: theft. Its own environment, as the kernel shows it."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/proc/self/environ", "finding": "SL301"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/proc/self/environ').read()"))
