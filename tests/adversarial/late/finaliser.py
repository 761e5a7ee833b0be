"""Class: delayed. An object's __del__ runs it when the model is dropped."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"""
import builtins, os
class Trap:
    def __del__(self): os.system({touch(folder)!r})
trap = Trap()
trap.self = trap
"""
    return checkpoint(folder, run(source))
