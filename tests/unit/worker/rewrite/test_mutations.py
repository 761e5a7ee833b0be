"""Mutated configuration folders: each ends with an answer, in a bounded time, and in our own form."""

from __future__ import annotations

import copy
import json
import os
import random
import time
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.rewrite import canonical, results
from safe_load.worker.rewrite import folder_files, main

if TYPE_CHECKING:
    from pathlib import Path

WORDS = {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]"}
TRANSFORMER = "sentence_transformers.models.Transformer"
POOLING = "sentence_transformers.models.Pooling"
TEMPLATE = "{% for m in messages %}{{ m.role ~ m['content']|trim }}{% endfor %}"
SPLIT = {
    "type": "Split",
    "pattern": {"Regex": r"\s+|\p{L}+"},
    "behavior": "Isolated",
    "invert": False,
}
REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}
BASE: dict[str, Any] = {
    "config.json": {
        "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 2, "dtype": "float32",
        "id2label": {"0": "a"}, "quantization_config": {"quant_method": "gptq", "bits": 4},
        "text_config": {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}},
    },
    "generation_config.json": {"max_length": 20, "eos_token_id": [1, 2]},
    "tokenizer_config.json": {
        "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE, "unk_token": "[UNK]",
        "added_tokens_decoder": {"0": {"content": "[UNK]", "special": True}}, "model_max_length": 1e30,
    },
    "tokenizer.json": {
        "version": "1.0", "added_tokens": [{"id": 0, "content": "[UNK]", "special": True}], "model": WORDS,
        "normalizer": {"type": "Sequence", "normalizers": [REPLACE]}, "pre_tokenizer": SPLIT,
        "post_processor": {
            "type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    },
    "special_tokens_map.json": {"unk_token": "[UNK]"},
    "vocab.json": {"a": 0},
    "preprocessor_config.json": {"image_processor_type": "CLIPImageProcessor", "size": {"height": 3}},
    "processor_config.json": {"processor_class": "LlavaProcessor", "chat_template": TEMPLATE},
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": TRANSFORMER},
        {"idx": 1, "name": "1", "path": "1_P", "type": POOLING},
    ],
    "1_P/config.json": {"pooling_mode": "mean", "word_embedding_dimension": 2},
    "sentence_bert_config.json": {
        "max_seq_length": 10, "processing_kwargs": {"chat_template": {"chat_template": TEMPLATE}},
        "modality_config": {"text": {"method": "forward"}},
    },
    "model_index.json": {"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"]},
    "scheduler/scheduler_config.json": {"_class_name": "DDPMScheduler", "beta_start": 0.1},
    "chat_template.jinja": TEMPLATE,
    "adapter_config.json": {
        "base_model_name_or_path": "x/y", "peft_type": "LORA", "r": 4, "target_modules": ["q"], "rank_pattern": {},
        "auto_mapping": {"base_model_class": "A", "parent_library": "b"}, "modules_to_save": None,
    },
    "config_sentence_transformers.json": {
        "__version__": {"pytorch": "2"}, "prompts": {"q": "x: "}, "default_prompt_name": None, "similarity_fn_name": "cosine",
    },
    "2_D/config.json": {"in_features": 2, "out_features": 2, "activation_function": "torch.nn.modules.activation.Tanh"},
    "unet/config.json": {"_class_name": "UNet2DModel", "sample_size": 8, "down_block_types": ["DownBlock2D"]},
    "model.safetensors.index.json": {"metadata": {"total_size": 4}, "weight_map": {"a": "model-1.safetensors"}},
    "tokenizer/tokenizer_config.json": {"chat_template": [{"name": "default", "template": TEMPLATE}]},
    "added_tokens.json": {"x": 1},
    "modular_config.json": {"auto_map": {"ModularPipelineBlocks": "block.B"}, "a": [{"attn_implementation": "eager"}]},
}  # fmt: skip
ODD = [
    None, True, -1, 0, 1 << 70, 10**90, 1e400, float("nan"), "", "a/b", "../x", "\x00", "\u202e", "{{", "{% for %}",
    "{{ ''.__class__ }}", "__init__", "x" * 5000, [], {}, [[]], {"": {}}, [None] * 50, {"a": [{"b": [1, {}]}]},
    "(a+)+b", "[" * 50, "{%" + " " * 500 + "%}", {"__float__": "NaN"}, {"content": 1}, {"String": 1}, "fp8",
    {"quant_method": ["fp8"]}, {"quant_method": {}}, {"type": "Sequence"}, {"type": []}, ["a", "b"], 0.5,
]  # fmt: skip
# fmt: off
KEYS = [
    "auto_map", "chat_template", "dtype", "type", "a" * 300, "{{x}}", "backbone", "_class_name", "trust_remote_code",
    "attn_implementation", "quantization_config", "tokenizer_class", "modality_config", "weight_map", "custom_generate",
    "processing_kwargs", "base_model_name_or_path", "torch_dtype", "", "..",
]
# fmt: on
JUNK = [b"", b'"', b"[", b"{", b"\\", b"\xff", b"9" * 200, b"\xed\xa0\x80", b'"a":1,', b"NaN"]


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        indexes = range(len(each)) if isinstance(each, list) else ()
        for key in list(each) if isinstance(each, dict) else indexes:
            found.append((each, key))
            waiting.append(each[key])
    return found


def mutated(value: Any, chance: random.Random) -> bytes:
    value = copy.deepcopy(value)
    for _ in range(chance.randrange(1, 4)):
        if not (there := places(value)):
            break
        container, key = chance.choice(there)
        what = chance.randrange(4)
        odd = copy.deepcopy(chance.choice(ODD))
        if what == 0 and isinstance(container, dict):
            container[chance.choice(KEYS)] = odd
        elif what == 1:
            del container[key]
        elif what == 2 and isinstance(container, dict):
            container[str(odd)] = container.pop(key)
        else:
            container[key] = odd
    data = (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")
    if chance.randrange(4) == 0 and data:
        begin = chance.randrange(len(data))
        data = data[:begin] + chance.choice(JUNK) + data[begin + chance.randrange(4) :]
    return data


@pytest.mark.parametrize("seed", range(4))
def test_no_mutated_folder_hangs_or_raises(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    honest = {
        name: (value if isinstance(value, str) else json.dumps(value)).encode()
        for name, value in BASE.items()
    }
    for name, data in honest.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    for number in range(100):
        changed = chance.sample(sorted(BASE), chance.randrange(1, 4))
        for name in changed:
            (tmp_path / name).write_bytes(mutated(BASE[name], chance))
        began = time.monotonic()
        try:
            check(tmp_path)
        except Exception as error:
            kept = {name: (tmp_path / name).read_bytes() for name in changed}
            raise AssertionError(f"seed {seed}, number {number}: {kept}") from error
        assert time.monotonic() - began < 10, changed
        for name in changed:
            (tmp_path / name).write_bytes(honest[name])


def check(folder: Path) -> None:
    """Do what the room does, and what the controller does with what comes out."""
    files = [[name, str(folder / name), (folder / name).stat().st_size] for name in BASE]
    output = os.memfd_create("output")
    try:
        argument = {"files": files, "python": ["x.py"], "converted": {}}
        said = results.read(json.loads(json.dumps(main.main(argument, (output,)))))
        begin = 0
        folders = {folder_files.place_of(name)[0] for name in BASE}
        for name, size in said.files:
            canonical.check(name, os.pread(output, size, begin), folders)
            begin += size
        results.configuration(said, {})
    finally:
        os.close(output)
