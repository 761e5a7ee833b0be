"""Class: archives. A pickle of protocol 0 in a zip that is no checkpoint."""

import pickle
from pathlib import Path

from tests.adversarial.craft import TOUCHED, Shell, model, write, zipped

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    write(folder, "bundle.zip", zipped({"a/x.dat": pickle.dumps(Shell(folder), protocol=0)}))
    return model(folder)
