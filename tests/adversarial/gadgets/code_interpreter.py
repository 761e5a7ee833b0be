"""Class: gadget. code.InteractiveInterpreter runs Python given as text."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, method, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    source = f"import os; os.system({touch(folder)!r})"
    return checkpoint(folder, method(call("code:InteractiveInterpreter"), "runsource", source))
