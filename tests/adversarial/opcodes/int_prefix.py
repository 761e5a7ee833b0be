"""Class: opcode. INT with base prefixes and a LONG with underscores put other parsers out of step."""

from pathlib import Path

from tests.adversarial.craft import TOUCHED, Code, pickled, shell, then

EXPECT = {"argv": TOUCHED, "finding": "SL501"}


def make(folder: Path) -> Path:
    return pickled(
        folder,
        then(
            Code(b"I0x10\n"), Code(b"I0b11\n"), Code(b"I0o17\n"), Code(b"L1_000L\n"), shell(folder)
        ),
    )
