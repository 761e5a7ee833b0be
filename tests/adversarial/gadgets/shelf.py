"""Class: gadget. A shelf in the scratch folder holds a second pickle."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint

EXPECT = {"finding": "SL501", "severity": "high", "detail": "calls shelve.open"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("shelve:open", "/tmp/shelf"))
