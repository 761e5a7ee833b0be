"""Class: other loaders. An array of objects beside honest weights: numpy.load(allow_pickle=True)."""

import io
from pathlib import Path

import numpy as np

from tests.adversarial.craft import TOUCHED, Shell, model, write

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    file = io.BytesIO()
    np.save(file, np.array([Shell(folder)], dtype=object), allow_pickle=True)
    write(folder, "embeddings.npy", file.getvalue())
    return model(folder)
