"""Class: opcode. REDUCE calls os.system."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(folder, shell(folder))
