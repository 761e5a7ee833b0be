"""Class: opcode. OBJ of protocol 1 calls subprocess.Popen."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, name, pickled, touch, value

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    command = value(["sh", "-c", touch(folder)])
    return pickled(folder, b"(" + name("subprocess:Popen") + command + b"o")
