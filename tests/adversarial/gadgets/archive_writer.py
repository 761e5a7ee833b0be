"""Class: gadget. gzip writes a file where the shell looks."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"path": "/home/ubuntu/.bashrc", "finding": "SL501", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("gzip:open", "/home/ubuntu/.bashrc", "wb"))
