"""Class: chain. A set of sympy evaluates its elements."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "FiniteSet"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("sympy:FiniteSet", code(folder)))
