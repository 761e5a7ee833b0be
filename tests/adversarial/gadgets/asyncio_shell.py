"""Class: gadget. asyncio runs a coroutine that starts a shell."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501", "severity": "high"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, call("asyncio:run", call("asyncio:create_subprocess_shell", touch(folder)))
    )
