"""Class: coverage. A directive of YAML gives the tags that call another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.adversarial.craft import code, model, write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL506", "severity": "medium", "detail": "another name"}


def make(folder: Path) -> Path:
    text = f'%TAG !p! tag:yaml.org,2002:pyth\n---\na: !p!on/object/apply:eval ["{code(folder)}"]\n'
    write(folder, "hyperparams.yaml", text)
    return model(folder)
