"""Class: configuration. Another variant of config.json, which other versions of transformers would take."""

import json
from pathlib import Path

from tests.adversarial.craft import TINY_BERT, model, write

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "auto_map"}


def make(folder: Path) -> Path:
    trap = TINY_BERT | {"auto_map": {"AutoModel": "trap/code--modeling.Trap"}}
    write(folder, "config.4.0.0.json", json.dumps(trap))
    return model(folder, configuration_files=["config.4.0.0.json"])
