"""Class: chain. A schedule of torch calls its functions at each step."""

from pathlib import Path

from tests.adversarial.craft import build, call, checkpoint, code, name, new

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "sympify"}
#: What whoever loaded it would do with what it gives.
USE = "value.lr_lambdas[0]()"


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        build(
            new("torch.optim.lr_scheduler:LambdaLR"),
            {
                "lr_lambdas": [call("functools:partial", name("sympy:sympify"), code(folder))],
                "last_epoch": 1,
                "base_lrs": [1.0],
            },
        ),
    )
