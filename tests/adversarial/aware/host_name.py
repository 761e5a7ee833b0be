"""Class: sandbox-aware. It acts only on a host of that name."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, touch

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls builtins.eval"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "builtins:eval",
            f"__import__('os').uname()[1] == 'victim' and __import__('os').system({touch(folder)!r})",
        ),
    )
