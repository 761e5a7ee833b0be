"""Class: paths. A link in the folder leads to a file of the host: nothing is opened."""

from pathlib import Path

from tests.adversarial.craft import model

EXPECT = {"outcome": "not_loadable"}


def make(folder: Path) -> Path:
    (folder / "vocab.txt").symlink_to("/etc/passwd")
    return model(folder)
