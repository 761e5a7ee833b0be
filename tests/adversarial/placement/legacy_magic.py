"""Class: payload in a legacy stream. The first, before the magic number."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, honest, saved, shell, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    data = saved(honest(), legacy=True)
    return write(folder, "model.pt", b"\x80\x04" + shell(folder) + b"0" + data[2:])
