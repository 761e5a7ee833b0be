"""Class: sandbox-aware. It reads its own status and stays silent under a filter."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run, touch

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls builtins.exec"}


def make(folder: Path) -> Path:
    source = f"import os\nif 'Seccomp:\\t0' in open('/proc/self/status').read(): os.system({touch(folder)!r})"
    return checkpoint(folder, run(source))
