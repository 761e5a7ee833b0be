"""The first load of a warm room, of a model of our own, so that no other load is the first one.

Zone: worker, before any byte of a stranger's model is near. Imports what loads of common
architectures would import, and goes once the way that every load goes.
"""

from __future__ import annotations

import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safe_load.worker.guarded import attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CONFIG = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "vocab_size": 2,
    "hidden_size": 2,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 2,
    "max_position_embeddings": 8,
}
_TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"},
}
_FILES = {
    "config.json": _CONFIG,
    "generation_config.json": {},
    "tokenizer.json": _TOKENIZER,
    "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]"},
}


def run(main: Callable[[dict[str, Any], tuple[int, ...]], object], modules: Iterable[str]) -> None:
    """Import `modules` (below transformers.models) where they exist, then call `main` of detonate.

    Raises OSError when there is no scratch to write to; what fails beyond is left to the loads.
    """
    for name in modules:
        # Not every architecture has every part, and some parts want packages that are not here.
        attempt(lambda name=name: import_module(f"transformers.models.{name}"))  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _FILES.items():
            Path(folder, name).write_text(json.dumps(content), encoding="utf-8")
        weights = f"{folder}/pytorch_model.bin"
        torch.save({"embeddings.word_embeddings.weight": torch.zeros(2, 2)}, weights)
        file = {"path": weights, "name": "pytorch_model.bin", "format": "unknown"}
        argument = {"files": [file], "depth": "model", "folder": folder, "fingerprint_budget": 1}
        attempt(lambda: main(argument, ()))
