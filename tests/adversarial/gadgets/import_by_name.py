"""Class: gadget. importlib's parts import os, getattr_static of inspect reaches into it."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    system = call("inspect:getattr_static", call("importlib:import_module", "os"), "system")
    return checkpoint(folder, call(system, touch(folder)))
