"""Class: opcode. An allowed rebuild function of torch calls what it is given."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, call, checkpoint, name, touch

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return checkpoint(
        folder,
        call(
            "torch._tensor:_rebuild_from_type_v2",
            name("os:system"),
            name("builtins:int"),
            (touch(folder),),
            {},
        ),
    )
