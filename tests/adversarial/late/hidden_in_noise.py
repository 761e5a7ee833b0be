"""Class: delayed. Ten thousand harmless calls come first, to fill the record."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run, touch

EXPECT = {"finding": "SL501", "severity": "high", "detail": "builtins.exec"}


def make(folder: Path) -> Path:
    source = f"""
import os
for n in range(12_000):
    try: os.mkdir(f"/tmp/{{n % 7}}/{{n}}")
    except OSError: pass
os.system({touch(folder)!r})
"""
    return checkpoint(folder, run(source))
