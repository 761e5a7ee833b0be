"""Class: gadget. torch.jit has a function that is nothing but exec."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    source = f"import os; os.system({touch(folder)!r})"
    return checkpoint(folder, call("torch.jit.unsupported_tensor_ops:execWrapper", source, {}, {}))
