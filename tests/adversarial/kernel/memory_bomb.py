"""Class: limits. Memory without end: the room's limit ends it."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL501", "severity": "high", "detail": "builtins.exec"}
OPTIONS = {"memory": 1 << 30}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("hoard = []\nwhile True: hoard.append(bytearray(1 << 24))"))
