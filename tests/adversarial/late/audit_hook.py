"""Class: delayed. An audit hook runs it at the next event."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"""
import os, sys
done = []
def hook(*_):
    if not done:
        done.append(1)
        os.system({touch(folder)!r})
sys.addaudithook(hook)
"""
    return checkpoint(folder, run(source))
