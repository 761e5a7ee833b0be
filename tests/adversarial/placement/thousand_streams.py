"""Class: payload in a later stream. More than a thousand harmless pickles lie before it."""

from pathlib import Path

from tests.adversarial.craft import shell, stream, value, write

EXPECT = {"finding": "SL501", "severity": "high", "detail": "system"}


def make(folder: Path) -> Path:
    return write(folder, "model.pkl", stream(value(None)) * 1100 + stream(shell(folder)))
