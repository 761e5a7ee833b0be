"""Class: write outside. It deletes the user's files."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"finding": "SL501", "severity": "high", "detail": "shutil.rmtree"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("shutil:rmtree", "/home/ubuntu", True))
