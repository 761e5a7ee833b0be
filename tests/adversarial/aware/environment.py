"""Class: sandbox-aware. It acts only where an environment variable of a real user is set."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, touch

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls builtins.eval"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "builtins:eval",
            f"'SSH_TTY' in __import__('os').environ and __import__('os').system({touch(folder)!r})",
        ),
    )
