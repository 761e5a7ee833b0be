"""Class: payload beside the weights. A pickle in a folder below the model's."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, model, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    (folder / "1_Pooling").mkdir()
    checkpoint(folder / "1_Pooling", shell(folder))
    # The canary of `shell` lies beside the folder that it was given.
    return model(folder)
