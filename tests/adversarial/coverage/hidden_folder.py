"""Class: names. A pickle in a folder that begins with a dot."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, model, pickled, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    (folder / ".cache" / "deep").mkdir(parents=True)
    pickled(folder, shell(folder), ".cache/deep/state")
    return model(folder)
