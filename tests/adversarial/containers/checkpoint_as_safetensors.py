"""Class: wrong extension. A torch checkpoint named .safetensors."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(folder, shell(folder), "model.safetensors")
