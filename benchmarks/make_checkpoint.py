"""Write a torch zip of about SIZE bytes of random float32 to OUT, shaped like a transformer's layers."""

from __future__ import annotations

import sys

import torch

path, size = sys.argv[1], int(sys.argv[2])
side = 4096
layers = max(1, round(size / (side * side * 4)))
state = {}
for layer in range(layers):
    state[f"layers.{layer}.weight"] = torch.randn(side, side)
    state[f"layers.{layer}.bias"] = torch.randn(side)
torch.save(state, path)
