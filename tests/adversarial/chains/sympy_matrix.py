"""Class: chain. A class of sympy evaluates the texts that it is given."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "Matrix"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("sympy:Matrix", [[code(folder)]]))
