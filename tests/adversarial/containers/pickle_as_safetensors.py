"""Class: wrong extension. A pickle named .safetensors."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, pickled, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return pickled(folder, shell(folder), "model.safetensors")
