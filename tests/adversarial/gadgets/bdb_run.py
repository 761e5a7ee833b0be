"""Class: gadget. A debugger without a prompt runs a statement."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, method, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, method(call("trace:Trace", 0, 0), "run", f"import os; os.system({touch(folder)!r})")
    )
