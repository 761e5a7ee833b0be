"""Class: tampering. Loading gives a tensor another type."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL601", "severity": "high", "detail": "float64"}


def make(folder: Path) -> Path:
    source = """
import torch._utils
rebuild = torch._utils._rebuild_tensor_v2
torch._utils._rebuild_tensor_v2 = lambda *args: rebuild(*args).double()
"""
    return checkpoint(folder, run(source))
