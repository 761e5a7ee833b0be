"""Class: names. A pickle of protocol 0, which is text, named README.md."""

import pickle
from pathlib import Path

from tests.adversarial.craft import TOUCHED, Shell, model, write

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    write(folder, "README.md", pickle.dumps(Shell(folder), protocol=0))
    return model(folder)
