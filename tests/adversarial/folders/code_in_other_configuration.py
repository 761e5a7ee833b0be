"""Class: folder. A configuration that no file here writes anew names classes of the repository."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.adversarial.craft import model, write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "modular_config.json"}


def make(folder: Path) -> Path:
    blocks = {"auto_map": {"ModularPipelineBlocks": "block.Payload"}}
    write(folder, "modular_config.json", json.dumps(blocks))
    return model(folder)
