"""Class: gadget. A helper of the standard library for another system runs a command."""

from pathlib import Path

from tests.adversarial.craft import call, checkpoint, touch

EXPECT = {
    "argv": ["sh", "-c", "touch {canary} 2>/dev/null >*"],
    "finding": "SL501",
    "severity": "medium",
}


def make(folder: Path) -> Path:
    return checkpoint(folder, call("_osx_support:_read_output", touch(folder)))
