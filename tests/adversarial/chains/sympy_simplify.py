"""Class: chain. sympy.simplify evaluates the text that it is given."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "sympy."}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("sympy:simplify", code(folder)))
