"""Class: opcode. Frames of odd sizes cut through the stream."""

import struct
from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, pickled, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    frame = b"\x95" + struct.pack("<Q", 0)
    return pickled(folder, Code(frame + frame + shell(folder)))
