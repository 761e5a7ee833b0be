"""Class: numpy. A dtype that hides from numpy that its parts are objects: bytes of the file become addresses."""

from pathlib import Path

from tests.adversarial.craft import build, call, checkpoint, name

EXPECT = {"finding": "SL501", "severity": "high", "detail": "__setstate__"}


def make(folder: Path) -> Path:
    part = build(call("numpy:dtype", "O8", False, True), (3, "|", None, None, None, -1, -1, 63))
    dtype = build(
        call("numpy:dtype", "V8", False, True), (3, "|", None, ("a",), {"a": (part, 0)}, 8, 1, 0)
    )
    array = call("numpy._core.multiarray:_reconstruct", name("numpy:ndarray"), (0,), b"b")
    return checkpoint(folder, build(array, (1, (1,), dtype, False, b"A" * 8)))
