"""Class: chain. An attribute of a layer takes the place of its method."""

from pathlib import Path

from tests.adversarial.craft import build, call, checkpoint, code, name, new

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "sympify"}
#: What whoever loaded it would do with what it gives.
USE = "value.state_dict()"


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        build(
            new("torch.nn.modules.linear:Identity"),
            {"state_dict": call("functools:partial", name("sympy:sympify"), code(folder))},
        ),
    )
