"""Class: delayed. A defaultdict's factory runs when a key is missing."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, name, pickled, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    factory = call("functools:partial", name("os:system"), touch(folder))
    return pickled(folder, call("collections:defaultdict", factory))
