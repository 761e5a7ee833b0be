"""Class: gadget. cProfile profiles a statement, and so runs it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("cProfile:run", f"import os; os.system({touch(folder)!r})"))
