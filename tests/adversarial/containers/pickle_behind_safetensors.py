"""Class: two formats in one. Honest safetensors with a pickle behind them."""

from pathlib import Path

from safetensors.torch import save

from tests.adversarial.craft import honest, shell, stream, write

EXPECT = {"outcome": "not_loadable", "finding": "SL602"}


def make(folder: Path) -> Path:
    return write(folder, "model.safetensors", save(honest()) + stream(shell(folder)))
