"""Class: wrong extension. A pickle named config.txt is what the user asks for."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, pickled, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return pickled(folder, shell(folder), "weights.txt")
