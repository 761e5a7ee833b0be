"""Class: numpy. A dtype gets parts that are objects after an array of bytes was made with it."""

from pathlib import Path

from tests.adversarial.craft import PROTO, Code, build, call, name, value, write

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "NumpyDtype.__setstate__"}


def make(folder: Path) -> Path:
    dtype = Code(call("numpy:dtype", "V8", False, True) + b"q\x00")
    array = call("numpy._core.multiarray:_reconstruct", name("numpy:ndarray"), (0,), b"b")
    part = build(call("numpy:dtype", "O8", False, True), (3, "|", None, None, None, -1, -1, 63))
    first = build(array, (1, (1,), dtype, False, b"A" * 8))
    state = value((3, "|", None, ("a",), {"a": (part, 0)}, 8, 1, 27))
    return write(folder, "model.pkl", PROTO + first + b"h\x00" + state + b"b0.")
