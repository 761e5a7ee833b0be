"""Class: delayed. The garbage collector calls it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, run(f"import gc, os; gc.callbacks.append(lambda *_: os.system({touch(folder)!r}))")
    )
