"""Which library's calls read an export: what to tell a person who asks how to use it.

Zone: controller. Goes by the names of the export's files and tensors, and by the configuration that was
written anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.rewrite.config_writer import keys_of_type
from safe_load.worker.strict_json import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from safe_load.core.report import Reader
    from safe_load.export.safetensors_check import Header

_BY_NAME: tuple[tuple[str, Reader], ...] = (
    ("model_index.json", "diffusers-pipeline"),
    ("open_clip_config.json", "open_clip"),
    ("modules.json", "sentence-transformers"),
)


def of(files: Mapping[str, bytes], written: Sequence[tuple[str, Header]]) -> Reader | None:
    """The library; None where no more is known than that the files are safetensors.

    Args:
        files: What lies beside the weights, by name.
        written: The files of weights, with their headers.
    """
    for name, reader in _BY_NAME:
        if name in files:
            return reader
    if "config.json" in files:
        return _of_config(files["config.json"])
    if "adapter_config.json" in files:
        return "peft"
    if len(written) == 1:
        tensors = written[0][1].tensors
        # As diffusers tells a LoRA (loaders/lora_pipeline.py, load_lora_weights).
        if tensors and all("lora" in tensor.name for tensor in tensors):
            return "lora"
    return None


def _of_config(data: bytes) -> Reader | None:
    config = parse(data, where="config.json", allow_nonfinite=True)
    if not isinstance(config, dict):
        return None
    if config.get("model_type") == "timm_wrapper":
        return "timm"
    if "model_type" in config:
        # Of an unknown one, the configuration lost what its class takes: transformers makes nothing of it.
        return "transformers" if keys_of_type(config["model_type"]) is not None else None
    return "diffusers-model" if "_class_name" in config else None
