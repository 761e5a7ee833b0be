"""Class: container. A zip archive with a pickle lies behind honest tensors, where Python finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.adversarial.craft import honest, shell, stream, write, zipped

if TYPE_CHECKING:
    from pathlib import Path

EXPECT = {"finding": "SL501", "severity": "high", "detail": "os.system"}


def make(folder: Path) -> Path:
    from safetensors.torch import save

    return write(
        folder, "model.safetensors", save(honest()) + zipped({"a.pkl": stream(shell(folder))})
    )
