"""Class: wrong extension. Beside honest weights lies a pickle without an extension."""

from pathlib import Path

from tests.adversarial.craft import model, pickled, shell

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    pickled(folder, shell(folder), "vocab_cache")
    return model(folder)
