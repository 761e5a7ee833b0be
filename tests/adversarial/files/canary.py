"""Class: write outside. A file beside the model's folder, where the host has it."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL501", "severity": "high", "path": "{canary}"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run(f"open({str(folder.parent / 'canary')!r}, 'w').write('x')"))
