"""Class: folder. An adapter's configuration names a module that peft would import."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.adversarial.craft import model, write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "megatron_core"}


def make(folder: Path) -> Path:
    adapter = {"peft_type": "LORA", "megatron_config": {"a": 1}, "megatron_core": "payload.core"}
    write(folder, "adapter_config.json", json.dumps(adapter))
    return model(folder)
