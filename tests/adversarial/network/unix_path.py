"""Class: local service. The Docker daemon's socket."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/var/run/docker.sock", "finding": "SL203"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import socket; socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')")
    )
