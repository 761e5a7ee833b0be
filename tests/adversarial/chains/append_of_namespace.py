"""Class: chain. APPEND calls an attribute that BUILD gave the object."""

from pathlib import Path

from tests.adversarial.craft import Code, build, call, checkpoint, code, name, new, value

EXPECT = {"finding": "SL501", "severity": "high", "detail": "Namespace"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        Code(
            build(
                new("argparse:Namespace"),
                {"append": call("functools:partial", name("sympy:sympify"))},
            )
            + value(code(folder))
            + b"a"
        ),
    )
