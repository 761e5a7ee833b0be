"""Class: back door. It waits for connections on all addresses."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL203", "severity": "medium", "detail": "0.0.0.0:4444"}


def make(folder: Path) -> Path:
    source = "import socket; s = socket.socket(); s.bind(('0.0.0.0', 4444)); s.listen(); s.settimeout(0.1); s.accept()"
    return checkpoint(folder, run(source))
