"""Class: payload then crash. An opcode that does not exist follows the call."""

from pathlib import Path

from tests.adversarial.craft import PROTO, TOUCHED, shell, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return write(folder, "model.pkl", PROTO + shell(folder) + b"\xff")
