"""Class: opcode. INST of protocol 0 calls os.system."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, pickled, touch, value

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return pickled(folder, b"(" + value(touch(folder)) + b"iposix\nsystem\n")
