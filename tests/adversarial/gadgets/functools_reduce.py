"""Class: gadget. functools.reduce calls a function of two arguments."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, name, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "functools:reduce",
            name("builtins:eval"),
            [f"__import__('os').system({touch(folder)!r})", {}],
        ),
    )
