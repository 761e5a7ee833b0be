"""Class: gadget. An ordinary collections.deque consumes a lazy itertools.starmap."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, name, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    lazy = call("itertools:starmap", name("os:system"), [(touch(folder),)])
    return checkpoint(folder, call("collections:deque", lazy))
