"""Class: numpy. A dtype with a part that lies a terabyte behind its element: memory of the process is read."""

from pathlib import Path

from tests.adversarial.craft import build, call, checkpoint, name

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "NumpyDtype.__setstate__"}


def make(folder: Path) -> Path:
    part = build(call("numpy:dtype", "i8", False, True), (3, "<", None, None, None, -1, -1, 0))
    dtype = build(
        call("numpy:dtype", "V8", False, True),
        (3, "|", None, ("a",), {"a": (part, 1 << 40)}, 8, 1, 0),
    )
    array = call("numpy._core.multiarray:_reconstruct", name("numpy:ndarray"), (0,), b"b")
    return checkpoint(folder, build(array, (1, (1,), dtype, False, b"A" * 8)))
