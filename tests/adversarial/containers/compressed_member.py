"""Class: lying zip. data.pkl is deflated, so that its bytes say nothing."""

import zipfile
from pathlib import Path

from tests.adversarial.craft import TOUCHED, shell, trapped, write, zipped

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return write(folder, "pytorch_model.bin", zipped(trapped(shell(folder)), zipfile.ZIP_DEFLATED))
