"""Write the models that are measured. KIND OUT [SIZE or COUNT]

Runs in a process of its own, because it imports torch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from demo import encoder

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 4096


def _state(size: int) -> dict[str, torch.Tensor]:
    """About `size` bytes of float32, random and different from layer to layer."""
    side = min(SIDE, int((size / 4) ** 0.5))
    base = torch.randn(side, side)
    state = {}
    for layer in range(max(1, round(size / (side * side * 4)))):
        state[f"layers.{layer}.weight"] = base + 0.001 * layer
        state[f"layers.{layer}.bias"] = torch.randn(side)
    return state


def torch_zip(out: Path, size: int) -> None:
    """What torch.save writes since 2020."""
    out.mkdir()
    torch.save(_state(size), out / "weights.bin")


def legacy(out: Path, size: int) -> None:
    """What torch.save wrote before: five streams in one file."""
    out.mkdir()
    torch.save(_state(size), out / "weights.bin", _use_new_zipfile_serialization=False)


def sharded(out: Path, size: int) -> None:
    """Four shards and their index."""
    out.mkdir()
    state, shards = _state(size), 4
    weight_map: dict[str, str] = {}
    for number in range(shards):
        name = f"pytorch_model-{number + 1:05}-of-{shards:05}.bin"
        part = dict(list(state.items())[number::shards])
        torch.save(part, out / name)
        weight_map |= dict.fromkeys(part, name)
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (out / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def tiny(out: Path, _: int) -> None:
    """A BERT of a few hundred kilobytes, its weights in a pickle."""
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=1000,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    model = BertModel(config)
    model.config.save_pretrained(out)
    torch.save(model.state_dict(), out / "pytorch_model.bin")


def real_encoder(out: Path, _: int) -> None:
    """The sentence encoder of the demo, with its tokenizer, its weights in a pickle."""
    encoder.write_as_pickle(encoder.installed_folder(), out, {})


def many(out: Path, count: int) -> None:
    """`count` checkpoints of a few kilobytes."""
    out.mkdir()
    for number in range(count):
        state = {"weight": torch.randn(16, 16), "bias": torch.randn(16)}
        torch.save(state, out / f"{number:04}.bin")


KINDS: dict[str, Callable[[Path, int], None]] = {
    "zip": torch_zip,
    "legacy": legacy,
    "sharded": sharded,
    "tiny": tiny,
    "encoder": real_encoder,
    "many": many,
}

if __name__ == "__main__":
    KINDS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
