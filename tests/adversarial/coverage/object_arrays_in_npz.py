"""Class: other loaders. An archive of arrays, one of them of objects."""

import io
from pathlib import Path

import numpy as np

from tests.adversarial.craft import TOUCHED, Shell, model, write

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    file = io.BytesIO()
    np.savez_compressed(file, a=np.arange(3), b=np.array([Shell(folder)], dtype=object))
    write(folder, "statistics.npz", file.getvalue())
    return model(folder)
