"""Class: payload in joblib. The type of an array is "object", spelled out: joblib unpickles what follows."""

from pathlib import Path

from tests.adversarial.craft import PROTO, Code, build, call, name, new, shell, stream, write

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "numpy.dtype"}


def make(folder: Path) -> Path:
    state = {
        "subclass": name("numpy:ndarray"),
        "shape": (1,),
        "order": "C",
        "dtype": call("numpy:dtype", "object", False, True),
        "allow_mmap": False,
        "numpy_array_alignment_bytes": 16,
    }
    hidden = stream(shell(folder))
    # As bytes that align an array, these would be skipped: as many as the first one says.
    hidden += b"N" * (1 + hidden[0] - len(hidden))
    wrapper = build(new("joblib.numpy_pickle:NumpyArrayWrapper"), state)
    return write(folder, "model.joblib", Code(PROTO + wrapper + hidden + b"."))
