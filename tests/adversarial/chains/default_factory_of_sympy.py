"""Class: chain. A dict calls the factory of its missing keys, a partial of a function that evaluates."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, code, name

EXPECT = {"finding": "SL501", "severity": "high", "detail": "partial"}
#: What whoever loaded it would do with what it gives.
USE = "value['missing']"


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "collections:defaultdict",
            call("functools:partial", name("sympy:sympify"), code(folder)),
        ),
    )
