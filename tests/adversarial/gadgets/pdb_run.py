"""Class: gadget. pdb debugs a statement; it stops before it, as its input is empty, so nothing runs."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, touch

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls pdb.run"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("pdb:run", f"import os; os.system({touch(folder)!r})"))
