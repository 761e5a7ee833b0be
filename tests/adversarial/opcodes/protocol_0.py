"""Class: opcode. A stream of protocol 0, all text, without an opcode that says pickle."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, touch, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return write(folder, "model.pt", f"cposix\nsystem\n(V{touch(folder)}\ntR.")
