"""Class: configuration. An adapter's base model, loaded first, is another repository."""

import json
from pathlib import Path

from tests.adversarial.craft import model, write

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "trap/base"}


def make(folder: Path) -> Path:
    write(
        folder,
        "adapter_config.json",
        json.dumps(
            {"peft_type": "LORA", "base_model_name_or_path": "trap/base", "auto_mapping": None}
        ),
    )
    return model(folder, base_model_name_or_path="trap/base")
