"""Class: container. Compressed data with a pickle follows a pickle of numbers."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from tests.adversarial.craft import shell, stream, value, write

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    packed = gzip.compress(stream(shell(folder)))
    return write(folder, "model.pkl", stream(value({"a": 1})) + packed)
