"""Class: unknown container. A checkpoint in a RAR archive: not opened, not called clean."""

from pathlib import Path

from tests.adversarial.craft import shell, trapped, write, zipped

EXPECT = {"finding": "SL507", "severity": "medium"}


def make(folder: Path) -> Path:
    return write(
        folder,
        "pytorch_model.bin",
        b"Rar!\x1a\x07\x01\x00" + zipped(trapped(shell(folder)))[:200],
    )
