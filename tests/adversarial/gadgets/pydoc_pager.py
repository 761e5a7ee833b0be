"""Class: gadget. pydoc pipes text through a command."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("pydoc:pipepager", "text", touch(folder)))
