"""Class: container. A torch file holds a pickle where storages lie, and no tensor claims it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.adversarial.craft import honest, members, saved, shell, stream, write, zipped

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    found = members(saved(honest())) | {"archive/data/99": stream(shell(folder))}
    return write(folder, "pytorch_model.bin", zipped(found))
