"""Class: limits. Processes without end: the room's limit ends it."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL501", "severity": "high", "detail": "builtins.exec"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        run(
            "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(0.01)"
        ),
    )
