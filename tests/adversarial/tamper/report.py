"""Class: tampering. The payload finds the detonator by its functions and rewrites it, so that it
reports nothing."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    source = f"""
import gc, os, types
gc.unfreeze()
use = next(
    each for each in gc.get_objects()
    if type(each) is types.FunctionType and each.__name__ == "use" and "detonate" in each.__globals__
)
use.__globals__["use"] = lambda *_: None
os.system({touch(folder)!r})
os._exit(0)
"""
    return checkpoint(folder, run(source))
