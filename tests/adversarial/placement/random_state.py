"""Class: payload beside the weights. rng_state.pth, which a trainer loads to go on (CVE-2026-1839)."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, checkpoint, model, shell

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    checkpoint(folder, shell(folder), "rng_state.pth")
    return model(folder)
