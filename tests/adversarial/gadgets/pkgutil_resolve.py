"""Class: gadget. pkgutil resolves a name given as text."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(folder, call(call("pkgutil:resolve_name", "os:system"), touch(folder)))
