"""Class: chain. A class of sympy evaluates its texts when an object is made, and again when it is used."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "Limit"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("sympy:Limit", code(folder), "x", 0))
