"""Class: names. A checkpoint whose name is Latin-1 and no UTF-8."""

import os
from pathlib import Path

from tests.adversarial.craft import TOUCHED, shell, trapped, write, zipped

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    path = write(folder, "model.pt", zipped(trapped(shell(folder))))
    return path.rename(Path(os.fsdecode(os.fsencode(folder) + b"/mal\xe9.pt")))
