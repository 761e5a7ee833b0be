"""Class: opcode. In protocol 2 the Python 2 name commands.getoutput means subprocess.getoutput."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, touch, value, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return write(
        folder, "model.pkl", b"\x80\x02ccommands\ngetoutput\n" + value((touch(folder),)) + b"R."
    )
