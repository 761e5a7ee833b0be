"""Class: configuration. Sizes that would exhaust the host."""

from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"finding": "SL603", "severity": "medium"}
OPTIONS = {"timeout": 5.0}


def make(folder: Path) -> Path:
    return model(folder, num_hidden_layers=10**9)
