"""Class: theft. A file of the host that no load needs."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/srv/project/secrets.yaml", "finding": "SL303"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/srv/project/secrets.yaml').read()"))
