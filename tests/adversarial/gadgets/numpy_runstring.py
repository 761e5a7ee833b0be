"""Class: gadget. numpy.testing runs Python given as text."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "numpy.testing._private.utils:runstring", f"import os; os.system({touch(folder)!r})", {}
        ),
    )
