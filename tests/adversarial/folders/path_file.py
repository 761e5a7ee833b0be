"""Class: planted import. A .pth file that is Python for site, not a checkpoint."""

from pathlib import Path

from tests.adversarial.craft import model, touch, write

EXPECT = {"finding": "SL502", "severity": "medium", "detail": "trap.pth"}


def make(folder: Path) -> Path:
    write(folder, "trap.pth", f"import os; os.system({touch(folder)!r})\n")
    return model(folder)
