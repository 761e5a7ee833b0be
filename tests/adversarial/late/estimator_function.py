"""Class: delayed. An estimator of scikit-learn calls the function in its state."""

from pathlib import Path

from tests.adversarial.craft import build, call, checkpoint, code, name, new

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "sympify"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        build(
            new("sklearn.preprocessing._function_transformer:FunctionTransformer"),
            {"func": call("functools:partial", name("sympy:sympify"), code(folder))},
        ),
    )
