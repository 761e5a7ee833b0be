"""Class: gadget. Theft without code: an array that maps a file of the host."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"path": "/etc/shadow", "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("numpy:fromfile", "/etc/shadow", "u1"))
