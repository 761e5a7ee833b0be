"""Walk every path of transformers that a model folder can steer, without its weights' memory.

Zone: worker. The architecture is built by transformers' own from_pretrained on the meta device,
from the names and shapes of the weights alone, so what is missing or unexpected is what
transformers itself would warn of: base model prefixes, tied weights, renamed and merged keys.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
import transformers.dynamic_module_utils
from safe_load.worker.guarded import attempt
from safe_load.worker.rewrite import template_ast
from transformers.models.auto import modeling_auto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Where a nested part of a config does ask for code although trust_remote_code is False, refuse
# at once instead of asking on stdin with a timer.
transformers.dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0

MAX_NAMES = 50
MAX_NAME = 300
MAX_INDEX_BYTES = 100 << 20

_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt"),
    *("spiece.model", "sentencepiece.bpe.model", "special_tokens_map.json", "chat_template.jinja"),
)
_PROCESSOR_FILES = (
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"),
)
#: Weight files in the order in which transformers picks one; an index names its shards.
_WEIGHTS = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
_OFFLINE = {"trust_remote_code": False, "local_files_only": True}


def _rendered(tokenizer: Any, chat: list[dict[str, str]]) -> Any:
    """The chat as its template renders it. One that only takes time would use up the time of all steps
    after it. Raises ValueError."""
    template = tokenizer.chat_template
    if isinstance(template, str) and (reason := template_ast.costly(template)) is not None:
        raise ValueError(f"the chat template was not rendered: it {reason}")
    return tokenizer.apply_chat_template(chat, tokenize=False)


class Walk:
    """One walk through a model folder. `steps` says how each step went, in order."""

    def __init__(self, folder: str, weights: dict[str, list[dict[str, Any]]]) -> None:
        """weights: the table of tensors of each file that opened, by the file's name."""
        self.folder = folder
        self.weights = weights
        self.steps: list[dict[str, Any]] = []

    def run(self, *, with_weights: bool) -> dict[str, Any] | None:
        """Walk the folder. Returns how weights and architecture fit, None if that cannot be said.

        with_weights: then also load the model for real and run it once.
        """
        config = self._step(
            "config", lambda: transformers.AutoConfig.from_pretrained(self.folder, **_OFFLINE)
        )
        if self._has(*_TOKENIZER_FILES) or getattr(config, "tokenizer_class", None):
            tokenizer = self._step(
                "tokenizer",
                lambda: transformers.AutoTokenizer.from_pretrained(self.folder, **_OFFLINE),
            )
            if tokenizer is not None:
                self._step("tokenize", lambda: tokenizer("Hello, world"))
                if getattr(tokenizer, "chat_template", None):
                    chat = [{"role": "user", "content": "Hello"}]
                    self._step("chat template", lambda: _rendered(tokenizer, chat))
        if self._has(*_PROCESSOR_FILES):
            processor: Any = transformers.AutoProcessor
            self._step("processor", lambda: processor.from_pretrained(self.folder, **_OFFLINE))
        if self._has("generation_config.json"):
            self._step(
                "generation config",
                lambda: transformers.GenerationConfig.from_pretrained(
                    self.folder, local_files_only=True
                ),
            )
        if config is None:
            return None
        architecture = self._step("architecture", lambda: _architecture(config))
        if architecture is None:
            return None
        fit = None
        table = attempt(self._table)[0]
        if table:
            fit = self._step("weights on meta", lambda: _fit(architecture, config, table))
        if fit is None:
            self._step("model on meta", lambda: _on_meta(architecture, config))
        if with_weights:
            model = self._step(
                "load", lambda: architecture.from_pretrained(self.folder, **_OFFLINE)
            )
            if model is not None:
                self._step("forward", lambda: _forward(model))
        return fit

    def _step(self, step: str, action: Callable[[], Any]) -> Any:
        started = time.monotonic()
        value, error = attempt(action)
        duration = round(time.monotonic() - started, 4)
        self.steps.append(
            {"step": step, "ok": error is None, "error": error, "duration_s": duration}
        )
        return value

    def _has(self, *names: str) -> bool:
        return any(Path(self.folder, name).is_file() for name in names)

    def _table(self) -> list[dict[str, Any]]:
        """The rows of the files that from_pretrained would load, none if there is no such file."""
        for name in _WEIGHTS:
            if name in self.weights:
                return self.weights[name]
            index = Path(self.folder, name)
            if (
                name.endswith(".index.json")
                and index.is_file()
                and index.stat().st_size <= MAX_INDEX_BYTES
            ):
                shards = set(json.loads(index.read_bytes())["weight_map"].values())
                return [row for shard in sorted(shards) for row in self.weights.get(shard, ())]
        return []


def _architecture(config: Any) -> Any:
    """The class that config.architectures names if transformers maps it, else its AutoModel's."""
    named = (getattr(config, "architectures", None) or [None])[0]
    known = {
        name
        for mapping, names in vars(modeling_auto).items()
        if mapping.endswith("_MAPPING_NAMES") and mapping.startswith("MODEL_")
        for entry in names.values()
        for name in ([entry] if isinstance(entry, str) else entry)
    }
    if isinstance(named, str) and named in known:
        return getattr(transformers, named)
    found = transformers.MODEL_MAPPING[type(config)]
    return found[0] if isinstance(found, (list, tuple)) else found


def _fit(architecture: Any, config: Any, table: list[dict[str, Any]]) -> dict[str, Any]:
    """What from_pretrained reports about these names and shapes, each list bounded."""
    state = {
        row["name"]: torch.empty(row["shape"], dtype=getattr(torch, row["dtype"]), device="meta")
        for row in table
    }
    with _meta_without_accelerate():
        _, info = architecture.from_pretrained(
            None,
            config=config,
            state_dict=state,
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    return {
        "architecture": str(architecture.__name__)[:MAX_NAME],
        "missing": _listed(info["missing_keys"]),
        "unexpected": _listed(info["unexpected_keys"]),
        "mismatched": _listed(
            key[0] if isinstance(key, tuple) else key for key in info["mismatched_keys"]
        ),
    }


def _listed(keys: Any) -> dict[str, Any]:
    names = sorted(str(key) for key in keys)
    return {"count": len(names), "names": [name[:MAX_NAME] for name in names[:MAX_NAMES]]}


@contextmanager
def _meta_without_accelerate() -> Iterator[None]:
    """Let from_pretrained take device_map="meta" without the accelerate package.

    It demands accelerate for any device map, but uses it only to spread a model over several
    devices (transformers 4.57 modeling_utils, 5.x integrations.accelerate).
    """
    places = [transformers.modeling_utils, transformers.integrations.accelerate]
    originals = [
        (place, check) for place in places if (check := vars(place).get("is_accelerate_available"))
    ]
    try:
        for place, _ in originals:
            vars(place)["is_accelerate_available"] = lambda *_args, **_options: True
        yield
    finally:
        for place, check in originals:
            vars(place)["is_accelerate_available"] = check


def _on_meta(architecture: Any, config: Any) -> None:
    with torch.device("meta"):
        architecture(config)


def _forward(model: Any) -> None:
    """One pass over the smallest inputs that the model's main input takes."""
    config = model.config
    names = {str(getattr(model, "main_input_name", "input_ids"))}
    if type(config).__name__ == "CLIPConfig" or {"text_config", "vision_config"} <= set(
        config.to_dict()
    ):
        names |= {"input_ids", "pixel_values"}
    if getattr(config, "is_encoder_decoder", False):
        names.add("decoder_input_ids")
    inputs = {name: _INPUTS[name](config) for name in names if name in _INPUTS}
    with torch.no_grad():
        model.eval()(**inputs)


def _bounded(config: Any, key: str, default: int) -> int:
    """An integer of the config, or of its vision or audio part, between 1 and 4096."""
    for part in (
        config,
        getattr(config, "vision_config", None),
        getattr(config, "audio_config", None),
    ):
        value = getattr(part, key, None)
        if isinstance(value, int):
            return max(1, min(value, 4096))
    return default


def _pixels(config: Any) -> torch.Tensor:
    size = _bounded(config, "image_size", 224)
    return torch.zeros(1, _bounded(config, "num_channels", 3), size, size)


def _mel(config: Any) -> torch.Tensor:
    frames = 2 * _bounded(config, "max_source_positions", 1500)
    return torch.zeros(1, _bounded(config, "num_mel_bins", 80), frames)


_INPUTS: dict[str, Callable[[Any], torch.Tensor]] = {
    "input_ids": lambda _: torch.tensor([[0, 1, 0]]),
    "decoder_input_ids": lambda _: torch.tensor([[0, 1, 0]]),
    "pixel_values": _pixels,
    "input_features": _mel,
    "input_values": lambda _: torch.zeros(1, 16000),
}


def _warm() -> None:
    conversion: Any = import_module("transformers.conversion_mapping")
    conversion.get_checkpoint_conversion_mapping("")


# transformers 5 compiles its table of renamed weights when it is first asked (1,000 patterns,
# 0.1 s): done here, a warm room does it once for all models. Before 5 there is no such table.
attempt(_warm)
