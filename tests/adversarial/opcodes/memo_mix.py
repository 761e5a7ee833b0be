"""Class: opcode. Names come from the memo, written by PUT, BINPUT, LONG_BINPUT and MEMOIZE in turn."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, call, checkpoint, touch, value

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    stored = (
        value("posix")
        + b"p900\n0"
        + value("system")
        + b"r\x85\x03\x00\x000"
        + value("innocent")
        + b"q\xc80"
    )
    # The text of one memo replaces another's.
    recalled = Code(stored + b"g900\nq\xc80" + b"h\xc8" + b"j\x85\x03\x00\x00" + b"\x93")
    return checkpoint(folder, call(recalled, touch(folder)))
