"""Tiny models of any architecture of transformers whose weights are tied, by its own default configuration."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pathlib import Path

#: What a configuration's sizes become, whatever it calls them.
_SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embed_dim", "embedding_size", "projection_dim", "word_embed_proj_dim"), 16),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers", "num_decoder_layers", "num_encoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads", "num_key_value_heads", "num_kv_heads"), 2),
    **dict.fromkeys(("head_dim", "d_kv", "d_head", "kv_channels", "attention_head_size", "num_mel_bins", "q_lora_rank", "kv_lora_rank", "v_head_dim", "patch_size"), 8),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "hidden_dim", "encoder_ffn_dim", "decoder_ffn_dim", "n_inner", "d_inner", "ffn_hidden_size", "max_source_positions", "max_target_positions", "n_ctx"), 32),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "image_size"), 16),
    **dict.fromkeys(("state_size", "time_step_rank", "rotary_dim", "num_experts", "num_local_experts", "n_routed_experts", "qk_rope_head_dim", "qk_nope_head_dim", "attention_window", "num_buckets"), 4),
    **dict.fromkeys(("vocab_size", "max_position_embeddings", "n_positions"), 64),
    "num_experts_per_tok": 2, "tie_word_embeddings": True,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
#: What some types need besides.
_MORE: dict[str, dict[str, Any]] = {
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "attention_layers": ["global", "local"]},
    "marian": {"decoder_vocab_size": 64},
}  # fmt: skip
#: The auto class of what most people load of a type: of a causal model, a masked one, or one of two halves.
_AUTO = {
    "AutoModelForCausalLM": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "AutoModelForMaskedLM": "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "AutoModelForSeq2SeqLM": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "AutoModelForSpeechSeq2Seq": "MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES",
    "AutoModelForPreTraining": "MODEL_FOR_PRETRAINING_MAPPING_NAMES",
}
FORMS = ("bin", "shards", "shards-without-index", "safetensors")


def classes(model_type: str) -> tuple[str, str]:
    """The auto class and the class of its own with which that type is loaded."""
    from transformers.models.auto import modeling_auto

    for auto, mapping in _AUTO.items():
        found = getattr(modeling_auto, mapping).get(model_type)
        if found and not (auto == "AutoModelForCausalLM" and _is_half(model_type, modeling_auto)):
            return auto, found if isinstance(found, str) else found[0]
    raise KeyError(model_type)


def _is_half(model_type: str, modeling_auto: Any) -> bool:
    """Whether the causal model of that type is the decoder of one of two halves."""
    halves = ("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_MASKED_LM_MAPPING_NAMES")
    return any(model_type in getattr(modeling_auto, name) for name in halves)


def make(model_type: str) -> Any:
    """A tiny model with tied weights, the same each time."""
    import transformers

    _, name = classes(model_type)
    cls = getattr(transformers, name)
    config = _shrunk(cls.config_class())
    for key, value in _MORE.get(model_type, {}).items():
        setattr(config, key, value)
    torch.manual_seed(0)
    return cls(config)


def _shrunk(config: Any) -> Any:
    for name, value in _SMALL.items():
        if hasattr(config, name) and not isinstance(getattr(config, name), (list, tuple, dict)):
            with suppress(AttributeError, NotImplementedError):  # what follows from other sizes
                setattr(config, name, value)
    if isinstance(vars(config).get("layer_types"), list):
        config.layer_types = config.layer_types[:2]
    for part in list(vars(config).values()):
        if hasattr(part, "model_type"):
            _shrunk(part)
    return config


def tied(model: Any) -> list[list[str]]:
    """The names of its state dict that lead to one tensor."""
    groups: dict[object, list[str]] = {}
    for name, value in model.state_dict().items():
        if value.numel():
            groups.setdefault((value.data_ptr(), tuple(value.shape)), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def save(model: Any, folder: Path, form: str) -> None:
    """Save it in one of FORMS. Pickles hold every name, as save_pretrained wrote them before safetensors."""
    model.save_pretrained(folder)
    if form == "safetensors":
        return
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    state = model.state_dict()
    if form == "bin":
        torch.save(state, folder / "pytorch_model.bin")
        return
    names = sorted(state)
    parts = (names[::2], names[1::2])
    where: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        shard = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: state[name] for name in part}, folder / shard)
        where |= dict.fromkeys(part, shard)
    index = {"metadata": {"total_size": 0}, "weight_map": where}
    if form == "shards":
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
