"""Class: opcode. BUILD with slot state sets an attribute of a class, APPEND then calls it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, build, checkpoint, name, new, then, touch, value

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    planted = build(name("argparse:Namespace"), (None, {"append": name("os:system")}))
    return checkpoint(
        folder, then(planted, Code(new("argparse:Namespace") + value(touch(folder)) + b"a"))
    )
