"""Class: gadget. numpy.f2py's parser evaluates an expression."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call("numpy.f2py.crackfortran:myeval", f"__import__('os').system({touch(folder)!r})"),
    )
