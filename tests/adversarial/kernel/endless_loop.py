"""Class: limits. It never ends: the time limit ends it."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL501", "severity": "high", "detail": "builtins.exec"}
OPTIONS = {"timeout": 3.0}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("while True: pass"))
