"""Class: chain. A polynomial of sympy evaluates its text."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code, name

EXPECT = {"finding": "SL501", "severity": "high", "detail": "Poly"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("sympy:Poly", code(folder), name("sympy.abc:x")))
