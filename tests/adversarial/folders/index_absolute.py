"""Class: paths. The index names a shard by an absolute path."""

import json
from pathlib import Path

from tests.adversarial.craft import model, write

EXPECT = {"finding": "SL505", "severity": "high", "detail": "/etc/passwd"}


def make(folder: Path) -> Path:
    write(
        folder,
        "pytorch_model.bin.index.json",
        json.dumps({"weight_map": {"weight": "/etc/passwd"}}),
    )
    return model(folder)
