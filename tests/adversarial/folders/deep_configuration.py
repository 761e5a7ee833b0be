"""Class: configuration. JSON so deep that Python's parser would give up: refused, not parsed."""

from pathlib import Path

from tests.adversarial.craft import model, write

EXPECT = {"outcome": "not_loadable"}


def make(folder: Path) -> Path:
    model(folder)
    write(folder, "config.json", '{"a":' * 100_000 + "1" + "}" * 100_000)
    return folder
