"""Class: chain. sympy's parser evaluates what it parsed."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "parse_expr"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("sympy.parsing.sympy_parser:parse_expr", code(folder)))
