"""Class: payload in a legacy stream. The second, the protocol's number."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, honest, saved, shell, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    data = saved(honest(), legacy=True)
    cut = data.index(b".") + 1
    return write(
        folder, "model.pt", data[:cut] + b"\x80\x04" + shell(folder) + b"0" + data[cut + 2 :]
    )
