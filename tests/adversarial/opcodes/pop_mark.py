"""Class: opcode. The call's result is thrown away by POP_MARK, between DUPs and marks."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, checkpoint, shell, value

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(folder, Code(value("x") + b"2((" + shell(folder) + b"21" + b"10"))
