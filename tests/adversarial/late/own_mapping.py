"""Class: delayed. The checkpoint is a mapping of a class that acts when its keys are asked for."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, pickled, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"type('Weights', (dict,), {{'keys': lambda self: __import__('os').system({touch(folder)!r}) and []}})()"
    return pickled(folder, call("builtins:eval", source))
