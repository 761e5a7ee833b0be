"""Class: unknown container. A checkpoint in a damaged 7z archive (nullifAI): not opened, not called clean."""

from pathlib import Path

from tests.adversarial.craft import shell, trapped, write, zipped

EXPECT = {"finding": "SL507", "severity": "medium"}


def make(folder: Path) -> Path:
    return write(
        folder,
        "pytorch_model.bin",
        b"7z\xbc\xaf\x27\x1c\x00\x04" + zipped(trapped(shell(folder)))[:200],
    )
