"""Class: opcode. NEWOBJ_EX makes the lazy map and what consumes it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, checkpoint, name, touch, value

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def _new(cls: str, *arguments: object) -> Code:
    return Code(name(cls) + value(arguments) + value({}) + b"\x92")


def make(folder: Path) -> Path:
    lazy = _new("builtins:map", name("os:system"), [touch(folder)])
    return checkpoint(folder, _new("builtins:tuple", lazy))
