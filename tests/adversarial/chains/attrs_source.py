"""Class: chain. attrs compiles and runs a text for a class."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code

EXPECT = {"finding": "SL501", "severity": "high", "detail": "_compile_and_eval"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("attr._make:_compile_and_eval", code(folder), {}))
