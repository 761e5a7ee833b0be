"""Class: payload beside the weights. The second of two shards."""

import json
from pathlib import Path

from tests.adversarial.craft import TINY_BERT, TOUCHED, Code, checkpoint, shell, write

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    checkpoint(folder, Code(b"N"), "pytorch_model-00001-of-00002.bin")
    checkpoint(folder, shell(folder), "pytorch_model-00002-of-00002.bin")
    table = {
        "weight": "pytorch_model-00001-of-00002.bin",
        "bias": "pytorch_model-00002-of-00002.bin",
    }
    write(folder, "pytorch_model.bin.index.json", json.dumps({"metadata": {}, "weight_map": table}))
    write(folder, "config.json", json.dumps(TINY_BERT))
    return folder
