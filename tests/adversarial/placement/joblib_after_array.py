"""Class: payload in joblib. It follows the bytes of an array, past which plain unpickling does not get."""

import io
from pathlib import Path

import joblib
import numpy as np

from tests.adversarial.craft import shell, write

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    file = io.BytesIO()
    joblib.dump([np.arange(4.0), "end"], file)
    data = file.getvalue()
    cut = data.rindex(b"\x8c\x03end")
    return write(folder, "model.joblib", data[:cut] + shell(folder) + b"0" + data[cut:])
