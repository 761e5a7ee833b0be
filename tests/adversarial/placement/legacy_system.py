"""Class: payload in a legacy stream. The third, facts about the machine."""

import pickle
from pathlib import Path

from tests.adversarial.craft import TOUCHED, honest, saved, shell, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    data = saved(honest(), legacy=True)
    cut = data.index(b".", data.index(b".") + 1) + 1
    assert isinstance(pickle.loads(data[cut:]), dict)
    return write(
        folder, "model.pt", data[:cut] + b"\x80\x04" + shell(folder) + b"0" + data[cut + 2 :]
    )
