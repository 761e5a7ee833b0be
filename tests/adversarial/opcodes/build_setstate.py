"""Class: opcode. BUILD plants a __setstate__, a second BUILD makes pickle call it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, build, checkpoint, name, namespace, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(folder, build(namespace(__setstate__=name("os:system")), touch(folder)))
