"""Class: theft. An SSH key."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/home/ubuntu/.ssh/id_rsa", "finding": "SL301"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("import os; open(os.path.expanduser('~/.ssh/id_rsa')).read()"))
