"""Class: gadget. A code-running helper of a package that the room does not have: it stays a name."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, touch

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls IPython.utils.process.system"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("IPython.utils.process:system", touch(folder)))
