"""Class: configuration. generation_config.json names code to generate with."""

import json
from pathlib import Path

from tests.adversarial.craft import model, write

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "custom_generate"}


def make(folder: Path) -> Path:
    write(folder, "generation_config.json", json.dumps({"custom_generate": "trap/generate"}))
    return model(folder)
