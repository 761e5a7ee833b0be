"""Class: gadget. ctypes calls the C library's system()."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    library = call("ctypes:CDLL", None)
    return checkpoint(
        folder, call(call("builtins:getattr", library, "system"), touch(folder).encode())
    )
