"""Class: configuration. attn_implementation names a kernel on the hub."""

from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"finding": "SL503", "severity": "high", "detail": "trap/kernel"}


def make(folder: Path) -> Path:
    return model(folder, attn_implementation="trap/kernel:attention")
