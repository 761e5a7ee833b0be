"""Class: payload in an array. The state of a numpy object array holds the call."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, build, call, name, pickled, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    array = call("numpy._core.multiarray:_reconstruct", name("numpy:ndarray"), (0,), b"b")
    dtype = build(call("numpy:dtype", "O8", False, True), (3, "|", None, None, None, -1, -1, 63))
    return pickled(folder, build(array, (1, (1,), dtype, False, [shell(folder)])))
