"""Tiny models of the architectures that the drop-in is compared on, and something to feed each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tests.integration.honest import architectures

if TYPE_CHECKING:
    from pathlib import Path

_TEXT, _CAUSAL, _VISION = architectures._TEXT, architectures._CAUSAL, architectures._VISION
_SEQ2SEQ = {
    "vocab_size": 64, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 64,
}  # fmt: skip
#: model type -> (class, configuration, tokenizer), as in honest/architectures.py
_MORE: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "xlm-roberta": ("XLMRobertaForTokenClassification", _TEXT, "bytes"),
    "deberta-v2": ("DebertaV2ForQuestionAnswering", _TEXT | {"relative_attention": True}, "words"),
    "camembert": ("CamembertModel", _TEXT, None),
    "gpt_neo": ("GPTNeoForCausalLM", {"vocab_size": 64, "hidden_size": 16, "num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]], "max_position_embeddings": 64}, "bytes"),
    "gptj": ("GPTJForCausalLM", {"vocab_size": 64, "n_embd": 16, "n_layer": 1, "n_head": 2, "rotary_dim": 4, "n_positions": 64}, None),
    "qwen3": ("Qwen3ForCausalLM", _CAUSAL, "chat"),
    "gemma2": ("Gemma2ForCausalLM", _CAUSAL, "chat"),
    "phi3": ("Phi3ForCausalLM", _TEXT | {"pad_token_id": 0}, "chat"),
    "stablelm": ("StableLmForCausalLM", _CAUSAL, None),
    "mamba": ("MambaForCausalLM", {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 1, "state_size": 4}, None),
    "pegasus": ("PegasusForConditionalGeneration", _SEQ2SEQ, None),
    "dinov2": ("Dinov2Model", _VISION, None),
    "resnet": ("ResNetForImageClassification", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}, None),
    "wav2vec2": ("Wav2Vec2ForCTC", {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "conv_dim": [8, 8], "conv_stride": [5, 2], "conv_kernel": [10, 3], "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}, None),
}  # fmt: skip
TINY = architectures.ARCHITECTURES | _MORE


def save(folder: Path, model_type: str, form: str) -> str:
    """Save a tiny model there, as "safetensors" or as "bin". Returns the name of its class."""
    import transformers

    name, options, tokenizer = TINY[model_type]
    cls = getattr(transformers, name)
    torch.manual_seed(0)
    model = cls(cls.config_class(**options))
    model.save_pretrained(folder)
    if tokenizer is not None:
        architectures._tokenizer(tokenizer).save_pretrained(folder)
    if form == "bin":
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return name


def outputs(model: Any) -> list[torch.Tensor]:
    """What the model says to the same input each time: every tensor of its answer."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, 30, (2, 7), generator=generator)
    pixels = torch.randn(2, 3, 32, 32, generator=generator)
    match model.main_input_name, model.config.is_encoder_decoder:
        case "input_ids", True:
            given = {"input_ids": ids, "decoder_input_ids": ids[:, :3]}
        case "input_features", _:
            features = torch.randn(1, 80, 3000, generator=generator)
            given = {"input_features": features, "decoder_input_ids": ids[:1, :3]}
        case "input_values", _:
            given = {"input_values": torch.randn(1, 400, generator=generator)}
        case "pixel_values", _:
            given = {"pixel_values": pixels}
        case _ if model.config.model_type == "clip":
            given = {"input_ids": ids, "pixel_values": pixels}
        case _:
            given = {"input_ids": ids}
    with torch.no_grad():
        answer = (
            model(**given, return_dict=False)
            if model.config.model_type != "mamba"
            else model(**given).to_tuple()[:1]
        )
    return _tensors(answer)


def _tensors(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in _tensors(part)]
    return []
