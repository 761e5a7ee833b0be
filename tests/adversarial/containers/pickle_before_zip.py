"""Class: two formats in one. A pickle with an honest checkpoint behind it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, honest, saved, shell, stream, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return write(folder, "model.pkl", stream(shell(folder)) + saved(honest()))
