"""Class: unusual socket. Frames past the IP layer."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"syscall": "socket", "finding": "SL203", "detail": "AF_PACKET"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)")
    )
