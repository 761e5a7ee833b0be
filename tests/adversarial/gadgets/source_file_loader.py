"""Class: gadget. pathlib writes a module, importlib imports it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, method, then, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    written = call(
        "pathlib:Path.write_text",
        call("pathlib:PosixPath", "/tmp/late.py"),
        f"import os; os.system({touch(folder)!r})",
    )
    imported = method(
        call("importlib.machinery:SourceFileLoader", "late", "/tmp/late.py"), "load_module"
    )
    return checkpoint(folder, then(written, imported))
