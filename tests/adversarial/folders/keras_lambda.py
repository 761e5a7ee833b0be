"""Class: format. A Keras model whose Lambda layer is marshalled code: told, and not called clean."""

import json
from pathlib import Path

from tests.adversarial.craft import write, zipped

EXPECT = {"finding": "SL506", "severity": "medium"}


def make(folder: Path) -> Path:
    layer = {
        "class_name": "Lambda",
        "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
    }
    content = {
        "config.json": json.dumps({"config": {"layers": [layer]}}).encode(),
        "metadata.json": b"{}",
        "model.weights.h5": b"\x89HDF",
    }
    return write(folder, "model.keras", zipped(content))
