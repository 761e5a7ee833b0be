"""Class: sandbox-aware. It acts after a date."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run, touch

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls builtins.exec"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run(f"import os, time\nif time.time() > 9e9: os.system({touch(folder)!r})")
    )
