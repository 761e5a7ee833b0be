"""Class: way out. The machine's memory as a device."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/dev/mem", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import os; os.mknod('/dev/mem', 0o20600, os.makedev(1, 1)); open('/dev/mem')")
    )
