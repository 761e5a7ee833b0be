"""Class: tampering. The payload rewrites the detonator itself, so that it reports nothing."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    source = f"""
import os, sys
detonation = sys.modules["safe_load.worker.detonate_files"]
detonation.use = lambda *_: None
os.system({touch(folder)!r})
os._exit(0)
"""
    return checkpoint(folder, run(source))
