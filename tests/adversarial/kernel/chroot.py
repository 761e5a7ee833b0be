"""Class: kernel. Changes the root."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, system_call

EXPECT = {"syscall": "chroot", "finding": "SL401", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, system_call(161))
