"""Class: opcode. EXT1 reaches a callable that the stream itself registered."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, call, checkpoint, then, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    register = call("copyreg:add_extension", "posix", "system", 7)
    return checkpoint(folder, then(register, call(Code(b"\x82\x07"), touch(folder))))
