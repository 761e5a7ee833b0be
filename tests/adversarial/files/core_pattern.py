"""Class: way out. The kernel would run the program that core_pattern names, as root on the host."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/proc/sys/kernel/core_pattern", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/proc/sys/kernel/core_pattern', 'w').write('|/tmp/x')"))
