"""Class: other loaders. A joblib file compressed by zlib, whose name says nothing of it."""

from pathlib import Path

import joblib

from tests.adversarial.craft import TOUCHED, Shell, model

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    joblib.dump({"head": Shell(folder)}, folder / "head.pkl", compress=3)
    return model(folder)
