"""Class: chain. A partial of a function that evaluates text, called at once."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code, name

EXPECT = {"finding": "SL501", "severity": "high", "detail": "partial"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call(call("functools:partial", name("sympy:sympify"), code(folder))))
