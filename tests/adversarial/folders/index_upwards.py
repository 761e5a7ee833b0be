"""Class: paths. The index names a shard above the folder."""

import json
from pathlib import Path

from tests.adversarial.craft import model, write

EXPECT = {"finding": "SL505", "severity": "high", "detail": "../../etc/passwd"}


def make(folder: Path) -> Path:
    write(
        folder,
        "model.safetensors.index.json",
        json.dumps({"weight_map": {"weight": "../../etc/passwd"}}),
    )
    return model(folder)
