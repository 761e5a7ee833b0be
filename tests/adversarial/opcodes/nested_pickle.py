"""Class: opcode. The payload lies in a pickle within the pickle."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, shell, stream

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("_pickle:loads", stream(shell(folder))))
