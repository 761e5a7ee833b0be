"""What the documentation of torch advises: load nothing but weights. IN..."""

from __future__ import annotations

import sys

import torch

for source in sys.argv[1:]:
    torch.load(source, weights_only=True)
