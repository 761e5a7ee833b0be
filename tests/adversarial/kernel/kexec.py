"""Class: kernel. Loads another kernel."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, system_call

EXPECT = {"syscall": "kexec_load", "finding": "SL401", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, system_call(246))
