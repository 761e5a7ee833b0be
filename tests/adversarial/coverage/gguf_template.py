"""Class: coverage. A GGUF keeps a template that reaches for more than text under a key of its own."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.adversarial.craft import write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL504", "severity": "medium"}


def make(folder: Path) -> Path:
    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    template = text(b"{{ ''.__class__.__mro__[1].__subclasses__() }}")
    table = text(b"tokenizer.chat_templates") + struct.pack("<IIQ", 9, 8, 1) + template
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + table
    return write(folder, "model.gguf", data + bytes(-len(data) % 32))
