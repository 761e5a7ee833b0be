"""Class: sandbox-aware. It stays silent where its parent is process 1; promised: the name and the call."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run, touch

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls builtins.exec"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run(f"import os\nif os.getppid() > 1: os.system({touch(folder)!r})"))
