"""Class: gadget. BUILD on a module replaces a function of it."""

from pathlib import Path

from tests.adversarial.craft import build, call, checkpoint, name

EXPECT = {"finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, build(call("importlib:import_module", "torch"), {"load": name("os:system")})
    )
