"""Class: delayed. The checkpoint acts when it is printed."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, pickled, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"type('Weights', (), {{'__repr__': lambda self: str(__import__('os').system({touch(folder)!r}))}})()"
    return pickled(folder, call("builtins:eval", source))
