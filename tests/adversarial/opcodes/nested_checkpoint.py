"""Class: opcode. A whole checkpoint lies in the bytes given to torch.storage._load_from_bytes."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, pickled, shell, trapped, zipped

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return pickled(folder, call("torch.storage:_load_from_bytes", zipped(trapped(shell(folder)))))
