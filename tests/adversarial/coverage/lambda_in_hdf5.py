"""Class: format. A Keras model in HDF5 whose Lambda layer is marshalled code."""

import json
from pathlib import Path

from tests.adversarial.craft import model, write

EXPECT = {"finding": "SL506", "severity": "medium"}


def make(folder: Path) -> Path:
    layer = {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}}
    config = json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}}).encode()
    # No library here writes HDF5: the beginning of one, and the attribute as it stands in such a file.
    write(
        folder,
        "model.h5",
        b"\x89HDF\r\n\x1a\n" + bytes(90) + b"model_config\0" + config + bytes(64),
    )
    return model(folder)
