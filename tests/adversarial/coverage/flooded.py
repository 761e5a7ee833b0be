"""Class: the record. A class of a package that is not here is made often before it is called."""

from pathlib import Path

from tests.adversarial.craft import Code, call, checkpoint, new

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "nowhere.tool.Maker"}


def make(folder: Path) -> Path:
    harmless = b"".join(new("nowhere.tool:Maker") + b"0" for _ in range(40))
    return checkpoint(folder, Code(harmless + call("nowhere.tool:Maker", {"parts": [1, 2]}, 3)))
