"""Class: kernel. Loads a BPF program."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, system_call

EXPECT = {"syscall": "bpf", "finding": "SL401", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, system_call(321))
