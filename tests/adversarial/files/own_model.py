"""Class: write outside. It overwrites its own file with an innocent one, to hide."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/model/pytorch_model.bin", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/model/pytorch_model.bin', 'wb').write(b'x')"))
