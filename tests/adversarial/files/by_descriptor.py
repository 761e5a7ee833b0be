"""Class: theft. A path relative to a folder's descriptor, with dots in it."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/etc/shadow", "finding": "SL301"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import os; os.open('../usr/../etc/./shadow', 0, dir_fd=os.open('/usr', 0))")
    )
