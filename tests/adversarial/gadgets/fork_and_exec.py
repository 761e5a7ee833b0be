"""Class: gadget. The C function behind subprocess, without subprocess: posix_spawn."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("posix:posix_spawn", "/bin/sh", ["sh", "-c", touch(folder)], {}))
