"""Honest objects of transformers and peft: settings, trainers and whole models."""

# mypy: ignore-errors
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from dev.pickle_honest.making import Holder, tried, weightless

if TYPE_CHECKING:
    from collections.abc import Iterator

    Objects = Iterator[tuple[str, Any]]


def transformers_settings() -> Objects:
    """Configurations, training arguments and their enumerations."""
    import transformers
    from transformers import trainer_utils, training_args
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    for kind in CONFIG_MAPPING:
        made = tried(lambda kind=kind: CONFIG_MAPPING[kind]())  # type: ignore[misc]
        if made is not None:
            yield "config", made
    yield "config", transformers.PretrainedConfig()
    for config in (
        transformers.GenerationConfig(),
        transformers.BitsAndBytesConfig(load_in_4bit=True),
    ):
        yield "config", config
        yield "class", Holder(type(config))
    yield "class", Holder(transformers.PretrainedConfig)
    for cls in (transformers.TrainingArguments, transformers.Seq2SeqTrainingArguments):
        with tempfile.TemporaryDirectory() as folder:
            made = cls(folder, use_cpu=True, report_to=[])
            _ = made.device, made.n_gpu
            yield "torch arguments", made
    yield "state", transformers.TrainerState()
    yield "control", transformers.TrainerControl()
    yield "batch", transformers.BatchEncoding({"input_ids": [1]})
    for module in (trainer_utils, training_args, transformers.utils.quantization_config):
        for cls in vars(module).values():
            if isinstance(cls, type) and hasattr(cls, "__members__"):
                yield "enumeration", list(cls)  # type: ignore[call-overload]
    import tokenizers

    yield "token", tokenizers.AddedToken("<s>", special=True)
    word = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    word.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    yield "tokenizer", word
    yield "tokenizer", transformers.PreTrainedTokenizerFast(tokenizer_object=word, unk_token="a")
    yield "functions", Holder(list(transformers.activations.ACT2CLS.values()) and [
        cls for cls in transformers.activations.ACT2CLS.values() if isinstance(cls, type)])  # fmt: skip
    for name in transformers.activations.ACT2CLS:
        yield "activation", transformers.activations.ACT2FN[name]


_TINY = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 32,
    "max_position_embeddings": 16, "num_key_value_heads": 1, "head_dim": 4, "d_model": 8, "d_ff": 16, "d_kv": 4,
    "num_layers": 1, "num_heads": 2, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "n_layer": 1, "n_head": 2, "n_embd": 8,
    "image_size": 32, "patch_size": 16, "ffn_dim": 16, "word_embed_proj_dim": 8, "dim": 8, "n_layers": 1, "n_heads": 2,
    "hidden_dim": 16, "pad_token_id": 0, "embedding_size": 8, "num_experts": 2, "num_local_experts": 2,
}  # fmt: skip


def transformers_models() -> Objects:
    """Whole models of common architectures."""
    import transformers

    for name in (
        "Bert", "Roberta", "XLMRoberta", "DistilBert", "Albert", "Electra", "DebertaV2", "MPNet", "GPT2", "GPTNeo",
        "GPTNeoX", "GPTJ", "OPT", "Bloom", "Llama", "Mistral", "Mixtral", "Qwen2", "Qwen3", "Gemma", "Gemma2", "Phi",
        "Phi3", "ModernBert", "T5", "Bart", "MBart", "Marian", "ViT", "CLIP", "Whisper", "Wav2Vec2", "Swin", "ResNet",
    ):  # fmt: skip
        config = getattr(transformers, f"{name}Config")
        made = tried(lambda config=config: config(**_TINY))  # type: ignore[misc]
        endings = ("Model", "ForSequenceClassification", "ForMaskedLM", "ForCausalLM", "LMHeadModel",
                   "ForConditionalGeneration", "ForTokenClassification", "ForQuestionAnswering", "ForImageClassification")  # fmt: skip
        for ending in endings:
            cls = getattr(transformers, f"{name}{ending}", None)
            if (
                cls is not None
                and (model := weightless(lambda cls=cls, made=made: cls(made))) is not None
            ):  # type: ignore[misc]
                yield "model", model
                yield "class", Holder(cls)


def adapters() -> Objects:
    """peft's configurations, and a model with an adapter."""
    import peft
    import transformers
    from peft.utils.peft_types import PeftType, TaskType

    yield "enumeration", [*PeftType, *TaskType]
    config = peft.LoraConfig(target_modules=["query"], task_type="SEQ_CLS")
    yield "config", config
    base = transformers.BertForSequenceClassification(transformers.BertConfig(**_TINY))
    yield "model", peft.get_peft_model(base, config)
    yield "config", [peft.PrefixTuningConfig(), peft.PromptTuningConfig(), peft.IA3Config()]
