"""Class: tampering. The load edits a tensor's numbers in place."""

from pathlib import Path

from tests.adversarial.craft import checkpoint, run

EXPECT = {"finding": "SL601", "severity": "high", "detail": "weight"}


def make(folder: Path) -> Path:
    source = """
import torch._utils
rebuild = torch._utils._rebuild_tensor_v2
def trap(*args):
    tensor = rebuild(*args)
    return tensor + 1 if tensor.dim() == 2 else tensor
torch._utils._rebuild_tensor_v2 = trap
"""
    return checkpoint(folder, run(source))
