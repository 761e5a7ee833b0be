"""Class: payload then crash. The stream ends in the middle of an opcode, scanners that parse first give up."""

from pathlib import Path

from tests.adversarial.craft import PROTO, TOUCHED, shell, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return write(folder, "model.pkl", PROTO + shell(folder) + b"X\xff\xff\xff\x7fbroken")
