"""Class: coverage. A configuration names what Hydra calls with its other keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.adversarial.craft import model, touch, write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "os.system"}


def make(folder: Path) -> Path:
    write(
        folder, "model_config.yaml", f"model:\n  _target_: os.system\n  command: {touch(folder)}\n"
    )
    return model(folder)
