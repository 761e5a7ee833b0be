"""Class: other loaders. A pickle compressed by bzip2, as joblib and pandas open it."""

import bz2
import pickle
from pathlib import Path

from tests.adversarial.craft import TOUCHED, Shell, model, write

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    write(folder, "scaler.bz2", bz2.compress(pickle.dumps(Shell(folder))))
    return model(folder)
