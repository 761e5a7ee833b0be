"""Class: configuration. A part of the model is to be fetched from another repository."""

from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "trap/encoder"}


def make(folder: Path) -> Path:
    return model(folder, text_encoder_name_or_path="trap/encoder")
