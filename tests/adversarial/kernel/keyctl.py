"""Class: kernel. The kernel's key ring, which is not namespaced."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, system_call

EXPECT = {"syscall": "keyctl", "finding": "SL401", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, system_call(250))
