"""Class: configuration. auto_map names a class of a Python file beside it."""

from pathlib import Path

from tests.adversarial.craft import model, touch, write

EXPECT = {"finding": "SL503", "severity": "medium", "detail": "auto_map"}


def make(folder: Path) -> Path:
    write(folder, "modeling_trap.py", f"import os; os.system({touch(folder)!r})")
    return model(
        folder,
        auto_map={"AutoConfig": "modeling_trap.TrapConfig", "AutoModel": "modeling_trap.Trap"},
    )
