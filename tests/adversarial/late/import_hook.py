"""Class: delayed. The next import runs it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"""
import os, sys
class Hook:
    @staticmethod
    def find_spec(*_): os.system({touch(folder)!r})
sys.meta_path.insert(0, Hook)
import atexit
atexit.register(lambda: __import__("colorsys"))
"""
    return checkpoint(folder, run(source))
