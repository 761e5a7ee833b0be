"""Class: configuration. Python lies beside the weights, and nothing names it yet."""

from pathlib import Path

from tests.adversarial.craft import model, touch, write

EXPECT = {"outcome": "ok", "finding": "SL502", "detail": "modeling_trap.py"}


def make(folder: Path) -> Path:
    write(folder, "modeling_trap.py", f"import os; os.system({touch(folder)!r})")
    return model(folder)
