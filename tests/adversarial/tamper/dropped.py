"""Class: tampering. Loading loses a tensor that the file holds."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL601", "severity": "high", "detail": "bias"}


def make(folder: Path) -> Path:
    source = """
import torch._utils
rebuild = torch._utils._rebuild_tensor_v2
torch._utils._rebuild_tensor_v2 = lambda *args: rebuild(*args) if len(args[2]) == 2 else None
"""
    return checkpoint(folder, run(source))
