"""Class: delayed. weakref.finalize waits for an object to go."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, name, namespace, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder, call("weakref:finalize", namespace(), name("os:system"), touch(folder))
    )
