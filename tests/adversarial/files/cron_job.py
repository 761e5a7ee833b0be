"""Class: write outside. A job for cron."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"path": "/etc/cron.d/x", "finding": "SL302", "severity": "medium"}


def make(folder: Path) -> Path:
    return checkpoint(folder, run("open('/etc/cron.d/x', 'w').write('x')"))
