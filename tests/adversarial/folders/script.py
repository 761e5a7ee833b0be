"""Class: format. TorchScript is a program; its __setstate__ runs at load."""

from pathlib import Path

from tests.adversarial.craft import write, zipped

EXPECT = {"finding": "SL506", "severity": "medium"}


def make(folder: Path) -> Path:
    content = {
        "archive/data.pkl": b"\x80\x02c__torch__\nTrap\nq\x00)\x81}(X\x08\x00\x00\x00trainingq\x01\x89ub.",
        "archive/constants.pkl": b"\x80\x02).",
        "archive/code/__torch__.py": b"class Trap(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n",
        "archive/version": b"3\n",
        "archive/byteorder": b"little",
    }
    return write(folder, "model.pt", zipped(content))
