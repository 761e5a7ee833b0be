"""Class: unusual socket. The kernel's crypto interface, again and again a way into the kernel."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"syscall": "socket", "finding": "SL203", "detail": "AF_ALG"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import socket; socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)")
    )
