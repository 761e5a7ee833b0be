"""Class: payload beside the weights. training_args.bin of a folder whose weights are honest."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, model, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    checkpoint(folder, shell(folder), "training_args.bin")
    return model(folder)
