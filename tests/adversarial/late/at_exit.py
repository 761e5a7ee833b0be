"""Class: delayed. atexit runs it when the interpreter ends."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, name, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("atexit:register", name("os:system"), touch(folder)))
