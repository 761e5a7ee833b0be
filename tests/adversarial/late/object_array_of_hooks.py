"""Class: late. An array of objects in a layer's attribute holds what may be called later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sympy
import torch

from tests.adversarial.craft import saved, write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "sympify"}


def make(folder: Path) -> Path:
    layer = torch.nn.Linear(2, 2)
    hooks = np.empty(1, dtype=object)
    hooks[0] = sympy.sympify
    vars(layer)["_load_hooks"] = hooks
    return write(folder, "pytorch_model.bin", saved(layer))
