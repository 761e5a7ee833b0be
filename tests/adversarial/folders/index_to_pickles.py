"""Class: paths. An index of safetensors names pickles, so that use_safetensors=True loads them."""

import json
from pathlib import Path

from tests.adversarial.craft import TINY_BERT, TOUCHED, checkpoint, shell, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    checkpoint(folder, shell(folder), "innocent.bin")
    write(
        folder,
        "model.safetensors.index.json",
        json.dumps({"weight_map": {"weight": "innocent.bin", "bias": "innocent.bin"}}),
    )
    write(folder, "config.json", json.dumps(TINY_BERT))
    return folder
