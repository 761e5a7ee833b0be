"""Class: theft. The system's password hashes."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/etc/shadow", "finding": "SL301"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/etc/shadow').read()"))
