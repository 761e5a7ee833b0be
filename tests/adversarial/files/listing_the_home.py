"""Class: theft. It walks the home folder and lists what is there."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/home/*", "finding": "SL303", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("import os; list(os.walk('/home'))"))
