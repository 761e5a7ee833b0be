"""Class: write outside. The shell's start-up file."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/home/ubuntu/.bashrc", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/home/ubuntu/.bashrc', 'a').write('x')"))
