"""Class: kernel. clone makes a user namespace."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, system_call

EXPECT = {"syscall": "clone", "finding": "SL401", "severity": "high"}
_CLONE_NEWUSER = 0x10000000


def make(folder: Path) -> Path:
    return checkpoint(folder, system_call(56, _CLONE_NEWUSER))
