"""Class: gadget. A logging configuration names a factory to call."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    handler = {"()": "os.system", "command": touch(folder)}
    return checkpoint(
        folder, call("logging.config:dictConfig", {"version": 1, "handlers": {"x": handler}})
    )
