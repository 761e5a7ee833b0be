"""What people do today: unpickle a checkpoint and save it as safetensors. IN OUT [mmap]"""

from __future__ import annotations

import sys

import torch
from safetensors.torch import save_file

state = torch.load(sys.argv[1], weights_only=False, mmap="mmap" in sys.argv)
save_file(state, sys.argv[2])
