"""Class: unknown container. Bytes of no known format beside honest weights."""

from pathlib import Path

from tests.adversarial.craft import model, write

EXPECT = {"finding": "SL507", "severity": "medium"}


def make(folder: Path) -> Path:
    write(folder, "plugin.dat", bytes(range(255, 100, -1)) * 9)
    return model(folder)
