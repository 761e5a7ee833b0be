"""Class: delayed. A grandchild in a session of its own outlives its parents."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(0.3)
        os.system({touch(folder)!r})
        time.sleep(1000)
    os._exit(0)
os.wait()
"""
    return checkpoint(folder, run(source))
