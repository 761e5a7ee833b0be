"""Class: local service. A socket without a file, which mount namespaces do not hide."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "@/tmp/.X11-unix/X0", "finding": "SL203"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run(r"import socket; socket.socket(socket.AF_UNIX).connect('\0/tmp/.X11-unix/X0')")
    )
