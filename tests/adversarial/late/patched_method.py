"""Class: delayed. A method of torch is replaced by one that acts when the weights are used."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, run, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    source = f"""
import os, torch
item = torch.Tensor.item
def trap(self):
    os.system({touch(folder)!r})
    return item(self)
torch.Tensor.item = trap
"""
    return checkpoint(folder, run(source))
