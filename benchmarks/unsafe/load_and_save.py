"""What people do today: unpickle checkpoints and save them as safetensors. OUT IN... [--mmap]"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

out, *sources = [argument for argument in sys.argv[1:] if argument != "--mmap"]
Path(out).mkdir()
for source in sources:
    state = torch.load(source, weights_only=False, mmap="--mmap" in sys.argv)
    save_file(state, Path(out) / f"{Path(source).stem}.safetensors")
