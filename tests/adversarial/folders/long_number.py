"""Class: configuration. A number of a million digits: refused, not parsed."""

from pathlib import Path

from tests.adversarial.craft import model, write

EXPECT = {"outcome": "not_loadable"}


def make(folder: Path) -> Path:
    model(folder)
    write(folder, "config.json", '{"hidden_size": ' + "9" * 1_000_000 + "}")
    return folder
