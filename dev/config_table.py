"""Write loader/worker/rewrite/config_keys.json: which keys the configuration classes of transformers know.

Run with the newest supported transformers: `python -m dev.config_table`. Imports
transformers, so the controller never does this; it only reads the table.

The table: {"transformers": version, "common": KEYS, "generation": KEYS, "classes": {NAME: KEYS},
"model_types": {MODEL_TYPE: NAME}}. KEYS maps kinds of values to the space-separated keys that take
them: "v" a number or boolean, "s" a string, "l" a list, "d" an object, several letters any of them,
"@NAME" a configuration of that class, "@NAME?" one whose own model_type says its class, else NAME.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers.models.auto import configuration_auto as auto

_KWARGS = re.compile(r'kwargs\.(?:pop|get)\(\s*"(\w+)"')
_ANY = "dlsv"
_MAPPING: Any = vars(auto)["CONFIG_MAPPING"]

# What older versions wrote and newer ones still take, or what transformers reads without a field.
_LEGACY_COMMON = {
    "num_labels": "v", "finetuning_task": "s", "pruned_heads": "d", "tie_word_embeddings": "v",
    "tie_encoder_decoder": "v", "cross_attention_hidden_size": "v", "add_cross_attention": "v",
    "is_decoder": "v", "output_attentions": "v", "use_cache": "v", "torchscript": "v",
    "use_bfloat16": "v", "gradient_checkpointing": "v", "task_specific_params": "d", "prefix": "s",
    "pad_token_id": "v", "bos_token_id": "lv", "eos_token_id": "lv", "sep_token_id": "v",
    "decoder_start_token_id": "lv", "rope_scaling": "d", "rope_theta": "v",
    "partial_rotary_factor": "v", "position_embedding_type": "s", "initializer_range": "v",
    "classifier_dropout": "v", "layer_types": "l", "summary_type": "s", "torch_dtype": "s",
    "per_layer_config": "d", "tie_last_hidden_states": "v", "num_choices": "v",
    "vocab_size": "v", "hidden_size": "v", "num_attention_heads": "v", "num_hidden_layers": "v",
    "intermediate_size": "v", "max_position_embeddings": "v", "pretrained_cfg": "d",
    # Read by getattr where a class has no field for it: 427 times in transformers 5.23.
    "head_dim": "v",
    "label_names": "l", "num_classes": "v", "num_features": "v", "global_pool": "s",
}  # fmt: skip


_NEVER = {"model_type", "_name_or_path", "use_pretrained_backbone"} | {
    f"{start}{name}_implementation" for start in ("", "_") for name in ("attn", "experts")
}

# Keys of generation_config.json that single models read, above all Whisper and Bark.
_MODELS_GENERATION = {
    "alignment_heads", "is_multilingual", "lang_to_id", "language", "max_initial_timestamp_index",
    "median_filter_width", "no_timestamps_token_id", "num_audio_channels", "prev_sot_token_id",
    "return_timestamps", "task", "task_to_id", "chat_format", "max_window_size", "semantic_config",
    "coarse_acoustics_config", "fine_acoustics_config", "codec_config", "_from_model_config",
}  # fmt: skip


def kinds_of(annotation: object) -> str:
    """The letters of the JSON values that a type takes, sorted; null is always taken."""
    origin = typing.get_origin(annotation)
    if annotation is Any or isinstance(annotation, typing.TypeVar | str):
        return _ANY
    if origin in (typing.Union, types.UnionType):
        return "".join(sorted(set("".join(map(kinds_of, typing.get_args(annotation))))))
    if origin is typing.Annotated:
        return kinds_of(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        values = typing.get_args(annotation)
        return "".join(sorted({"s" if isinstance(value, str) else "v" for value in values}))
    plain = origin or annotation
    if not isinstance(plain, type) or plain is type(None):
        return ""
    if issubclass(plain, bool | int | float):
        return "v"
    if issubclass(plain, str) or plain.__name__ == "dtype":
        return "s"
    if issubclass(plain, dict):
        return "d"
    return "l" if issubclass(plain, list | tuple) or plain.__module__ == "collections.abc" else ""


def keys_of(config_class: Any) -> dict[str, str]:
    """Every key that a configuration class takes, with its kinds."""
    hints: dict[str, object] = {}
    names = {"torch": torch}
    for field in dataclasses.fields(config_class):
        annotation: object = field.type
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, vars(typing) | names)
            except (NameError, TypeError):
                annotation = Any
        hints[field.name] = annotation
    keys = {name: kinds_of(annotation) or _ANY for name, annotation in hints.items()}
    for parent in config_class.__mro__:
        hook = vars(parent).get("__post_init__")
        if hook is not None and parent.__module__.startswith("transformers.models."):
            for name in _KWARGS.findall(inspect.getsource(hook)):
                keys.setdefault(name, _ANY)
    for alias, name in config_class.attribute_map.items():
        keys.setdefault(alias, keys.get(name, _ANY))
    for name, spec in config_class.sub_configs_defaults.items():
        if spec.config_class.__name__ != "AutoConfig":
            keys[name] = f"@{spec.config_class.__name__}"
        else:
            # A few specs name a default that the mapping does not know.
            known = spec.model_type in _MAPPING
            keys[name] = f"@{_MAPPING[spec.model_type].__name__ if known else ''}?"
    return keys


def written_keys(config: Any) -> dict[str, set[str]]:
    """What a configuration and those in it write to config.json, by class: also what __post_init__
    computes, and what one class gives to another one that has no field for it."""
    found = {type(config).__name__: set(config.to_dict()) - _NEVER}
    for inner in vars(config).values():
        if isinstance(inner, transformers.PreTrainedConfig):
            for name, keys in written_keys(inner).items():
                found[name] = found.get(name, set()) | keys
    return found


def table() -> dict[str, Any]:
    """The whole table, as it stands in the file."""
    common = keys_of(transformers.PreTrainedConfig) | _LEGACY_COMMON
    known = {key for key in vars(transformers.GenerationConfig.from_dict({})) if key[0] != "_"}
    known -= {"transformers_version", "compile_config", "continuous_batching_config"}
    generation = dict.fromkeys(known | _MODELS_GENERATION, _ANY)
    classes: dict[str, Any] = {}
    model_types: dict[str, str] = {}

    def add(config_class: Any) -> None:
        if config_class.__name__ in classes or config_class.__name__ == "AutoConfig":
            return
        classes[config_class.__name__] = keys_of(config_class)
        for spec in config_class.sub_configs_defaults.values():
            add(spec.config_class)

    for model_type in sorted(_MAPPING.keys()):
        add(_MAPPING[model_type])
        model_types[model_type] = _MAPPING[model_type].__name__
    for model_type in model_types:
        try:
            written = written_keys(_MAPPING[model_type]())
        except (StrictDataclassError, ValueError, TypeError) as error:
            print(f"{model_type} is not built from its defaults: {error}", file=sys.stderr)
            continue
        for name, keys in written.items():
            if name in classes:
                classes[name] |= dict.fromkeys(keys - classes[name].keys(), _ANY)
    return {
        "transformers": transformers.__version__,
        "common": _grouped(common),
        "generation": _grouped(generation),
        "classes": {
            name: _grouped({key: kind for key, kind in keys.items() if common.get(key) != kind})
            for name, keys in sorted(classes.items())
        },
        "model_types": model_types,
    }


def _grouped(keys: dict[str, str]) -> dict[str, str]:
    return {
        kind: " ".join(sorted(key for key, its in keys.items() if its == kind))
        for kind in sorted(set(keys.values()))
    }


def render(whole: dict[str, Any]) -> str:
    """The table as JSON with one line for each class, so that a diff shows a change."""

    def line(value: object) -> str:
        return json.dumps(value, separators=(",", ":"))

    def lines(table: dict[str, Any]) -> str:
        return (
            "{\n" + ",\n".join(f"{line(key)}:{line(value)}" for key, value in table.items()) + "\n}"
        )

    parts = [
        f"{line(key)}:{lines(value) if isinstance(value, dict) else line(value)}"
        for key, value in whole.items()
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    target = (
        Path(__file__).resolve().parents[1] / "loader" / "worker" / "rewrite" / "config_keys.json"
    )
    target.write_text(render(table()), encoding="ascii")
