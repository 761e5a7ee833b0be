"""A person is told the calls of the library that the export is for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safe_load.export import reader, safetensors_check
from safetensors.torch import save_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"config.json": {"model_type": "bert"}}, "transformers"),
        ({"config.json": {"model_type": "timm_wrapper", "architecture": "resnet18"}}, "timm"),
        ({"config.json": {"_class_name": "AutoencoderKL"}}, "diffusers-model"),
        ({"config.json": {"hidden_size": 4}}, None),
        ({"config.json": {"model_type": "of-my-own"}}, None),
        ({"model_index.json": {}, "unet/config.json": {}}, "diffusers-pipeline"),
        ({"modules.json": [], "config.json": {"model_type": "bert"}}, "sentence-transformers"),
        ({"open_clip_config.json": {}}, "open_clip"),
        ({"adapter_config.json": {"peft_type": "LORA"}}, "peft"),
        ({"unet/config.json": {"model_type": "bert"}}, None),
        ({}, None),
    ],
)
def test_what_lies_beside_the_weights_says_it(files: dict[str, Any], expected: str | None) -> None:
    written = {name: json.dumps(value).encode() for name, value in files.items()}
    assert reader.of(written, []) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["lora_unet_q.lora_down.weight", "lora_te_q.alpha"], "lora"),
        (["unet.q.lora.down.weight"], "lora"),
        (["unet.q.lora.down.weight", "unet.q.weight"], None),
        ([], None),
    ],
)
def test_a_lora_is_told_by_its_names(names: list[str], expected: str, tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({name: torch.ones(1) for name in names}, path)
    written = (path.name, safetensors_check.check(path))
    assert reader.of({}, [written]) == expected
    assert reader.of({}, [written, written]) is None
