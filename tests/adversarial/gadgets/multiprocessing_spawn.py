"""Class: gadget. multiprocessing starts a program."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    argv = [b"sh", b"-c", touch(folder).encode()]
    return checkpoint(folder, call("multiprocessing.util:spawnv_passfds", b"/bin/sh", argv, []))
