"""Class: opcode. STACK_GLOBAL takes a name that other calls put together."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, call, checkpoint, touch, value

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    computed = call("operator:add", "sys", "tem")
    return checkpoint(folder, call(Code(value("posix") + computed + b"\x93"), touch(folder)))
