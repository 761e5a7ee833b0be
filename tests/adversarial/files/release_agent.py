"""Class: way out. The kernel would run what a control group's release_agent names."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/sys/fs/cgroup/release_agent", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/sys/fs/cgroup/release_agent', 'w').write('/tmp/x')"))
