"""Class: tampering. BUILD gives a tensor a state that replaces its data, with ordinary names alone."""

from pathlib import Path

import torch

from tests.adversarial.craft import saved, write

EXPECT = {"finding": "SL601", "severity": "high", "detail": "weight"}


class _Swapped(torch.nn.Parameter):
    """Pickles as a parameter with state."""

    def __reduce_ex__(self, protocol):
        return (
            torch._utils._rebuild_parameter_with_state,
            (self.data, False, {}, {"data": torch.zeros(2, 3)}),
        )


def make(folder: Path) -> Path:
    weight = _Swapped(torch.arange(6.0).reshape(2, 3), requires_grad=False)
    return write(folder, "pytorch_model.bin", saved({"weight": weight, "bias": torch.ones(3)}))
