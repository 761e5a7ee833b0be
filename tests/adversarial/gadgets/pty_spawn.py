"""Class: gadget. pty opens a terminal and runs a program in it."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, touch

EXPECT = {"path": "/dev/ptmx", "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("pty:spawn", ["sh", "-c", touch(folder)]))
