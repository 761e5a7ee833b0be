"""Class: configuration. dtype names another attribute of torch."""

from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "hub"}


def make(folder: Path) -> Path:
    return model(folder, dtype="hub")
