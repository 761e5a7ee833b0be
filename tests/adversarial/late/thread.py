"""Class: delayed. A thread waits until the load is over."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"import threading, os; threading.Timer(0.2, os.system, [{touch(folder)!r}]).start()"
    return checkpoint(folder, run(source))
