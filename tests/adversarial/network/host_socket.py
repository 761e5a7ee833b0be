"""Class: unusual socket. vsock leads from a virtual machine to its host."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"syscall": "socket", "finding": "SL203", "detail": "AF_VSOCK"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        run("import socket; socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, 1024))"),
    )
