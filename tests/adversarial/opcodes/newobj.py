"""Class: opcode. NEWOBJ alone: bytes.__new__ consumes a lazy map that calls os.system."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, name, new, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, new("builtins:bytes", new("builtins:map", name("os:system"), [touch(folder)]))
    )
