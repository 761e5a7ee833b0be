"""Class: paths. A pipe lies where the weights should: nothing is opened, nothing waits."""

import os
from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"outcome": "not_loadable"}


def make(folder: Path) -> Path:
    os.mkfifo(folder / "pytorch_model.bin")
    return model(folder)
