"""Class: late. A sparse tensor's index lies outside of it: who makes it dense writes to other memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tests.adversarial.craft import saved, write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "compiled code follows"}


def make(folder: Path) -> Path:
    class Sparse:
        def __reduce__(self) -> Any:
            data = torch.tensor([[0, 1 << 40], [0, 0]]), torch.ones(2), torch.Size((2, 2)), True
            return torch._utils._rebuild_sparse_tensor, (torch.sparse_coo, data)

    return write(folder, "pytorch_model.bin", saved({"w": Sparse()}))
