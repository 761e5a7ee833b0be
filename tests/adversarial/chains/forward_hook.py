"""Class: chain. A layer calls its hooks before each call."""

from pathlib import Path

from tests.adversarial.craft import build, call, checkpoint, code, name, new

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "sympify"}
#: What whoever loaded it would do with what it gives.
USE = "value._forward_pre_hooks[0]()"


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        build(
            new("torch.nn.modules.linear:Identity"),
            {
                "training": False,
                "_parameters": {},
                "_buffers": {},
                "_modules": {},
                "_backward_hooks": {},
                "_backward_pre_hooks": {},
                "_forward_hooks": {},
                "_forward_pre_hooks": {
                    0: call("functools:partial", name("sympy:sympify"), code(folder))
                },
            },
        ),
    )
