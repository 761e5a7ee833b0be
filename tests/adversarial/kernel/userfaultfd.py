"""Class: kernel. Page faults handled in user space, which exploits use to win races."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, system_call

EXPECT = {"syscall": "userfaultfd", "finding": "SL401", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, system_call(323))
