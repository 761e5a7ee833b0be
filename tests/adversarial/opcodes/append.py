"""Class: opcode. APPEND calls an `append` that BUILD planted."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, checkpoint, name, namespace, touch, value

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, Code(namespace(append=name("os:system")) + value(touch(folder)) + b"a")
    )
