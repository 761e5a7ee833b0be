"""Class: gadget. An ordinary functools.partial holds os.system, and is called."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, name, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call(call("functools:partial", name("os:system"), touch(folder))))
