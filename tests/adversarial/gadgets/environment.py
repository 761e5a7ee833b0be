"""Class: gadget. BUILD on os.environ changes the environment of whatever is started next."""

from pathlib import Path

from tests.adversarial.craft import Code, checkpoint, name, value

EXPECT = {"finding": "SL501", "severity": "medium", "detail": "os.environ"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, Code(name("os:environ") + value("LD_PRELOAD") + value("/tmp/x.so") + b"s")
    )
