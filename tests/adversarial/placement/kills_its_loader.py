"""Class: payload then crash. It runs a program and then kills its process."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, shell, then

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(folder, then(shell(folder), call("os:abort")))
