"""Class: tampering. _rebuild_from_type_v2 is given a state that replaces the tensor's data."""

from pathlib import Path

import torch

from tests.adversarial.craft import saved, write

EXPECT = {"finding": "SL601", "severity": "high", "detail": "weight"}


class _Swapped(torch.Tensor):
    def __reduce_ex__(self, protocol):
        plain = torch.arange(6.0).reshape(2, 3)
        arguments = (plain._typed_storage(), 0, (2, 3), (3, 1), False, {})
        state = {"data": torch.zeros(2, 3)}
        return (
            torch._tensor._rebuild_from_type_v2,
            (torch._utils._rebuild_tensor_v2, torch.Tensor, arguments, state),
        )


def make(folder: Path) -> Path:
    weight = torch.arange(6.0).reshape(2, 3).as_subclass(_Swapped)
    return write(folder, "pytorch_model.bin", saved({"weight": weight, "bias": torch.ones(3)}))
