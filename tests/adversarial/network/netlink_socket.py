"""Class: unusual socket. Netlink changes the network's rules."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"syscall": "socket", "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)")
    )
