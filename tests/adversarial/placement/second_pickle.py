"""Class: payload after STOP. A second pickle follows the first."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, shell, stream, value, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return write(folder, "model.pkl", stream(value({"weight": 1})) + stream(shell(folder)))
