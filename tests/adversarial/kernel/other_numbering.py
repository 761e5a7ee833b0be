"""Class: kernel. The x32 numbers of the same calls, which a filter by number would not know: killed."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, system_call

EXPECT = {"finding": "SL501", "severity": "high", "detail": "builtins.exec"}


def make(folder: Path) -> Path:
    return checkpoint(folder, system_call(0x40000000 + 101))
