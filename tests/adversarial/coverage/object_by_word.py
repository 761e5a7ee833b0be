"""Class: other loaders. numpy.load unpickles an array whose type is "object", spelled out, in a structure."""

from pathlib import Path

from tests.adversarial.craft import model, shell, stream, write

EXPECT = {"finding": "SL507", "severity": "medium", "detail": "embeddings.npy"}


def make(folder: Path) -> Path:
    head = "{'descr': [('a', 'object')], 'fortran_order': False, 'shape': (1,)}".ljust(117) + "\n"
    data = b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head.encode()
    write(folder, "embeddings.npy", data + stream(shell(folder)))
    return model(folder)
