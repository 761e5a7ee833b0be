"""Class: write outside. A file is made in the scratch folder and moved out of it."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/usr/lib/x.so", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import os; open('/tmp/x', 'w').close(); os.rename('/tmp/x', '/usr/lib/x.so')")
    )
