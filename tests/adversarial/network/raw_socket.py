"""Class: unusual socket. Raw IP."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        run(
            "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).sendto(b'ping', ('203.0.113.7', 0))"
        ),
    )
