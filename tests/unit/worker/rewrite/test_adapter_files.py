"""An adapter's configuration keeps what peft needs to load it, and nothing that leads elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from safe_load.core.errors import UsageError
from safe_load.core.options import Options
from safe_load.rewrite import base_model
from safe_load.rewrite.canonical import check
from safe_load.worker.rewrite import adapter_files, tables

WHERE = "adapter_config.json"
#: As peft 0.21 writes them: without what names the base, and with what is at its default left out.
HONEST: list[dict[str, Any]] = [
    {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "peft_version": "0.21.2",
        "r": 8,
        "lora_alpha": 16.0,
        "bias": "none",
        "inference_mode": True,
        "init_lora_weights": "pissa_niter_4",
        "target_modules": ["q_proj", "layers.1.mlp.down_proj"],
        "modules_to_save": None,
        "rank_pattern": {"model.layers.1.q_proj": 2, r"^layers\.[0-9]+\.v_proj$": 4},
        "layer_replication": [[0, 4], [2, 5]],
        "trainable_token_indices": {"embed_tokens": [1, 2]},
    },
    {"peft_type": "LORA", "target_modules": "all-linear", "use_dora": True},
    {"peft_type": "LORA", "target_modules": r".*decoder.*(SelfAttention|EncDecAttention).*(q|v)$"},
    {
        "peft_type": "LORA",
        "target_modules": r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:k_proj|v_proj).*?)"
        r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:k_proj|up_proj)))",
    },
    {"peft_type": "IA3", "target_modules": ["k"], "feedforward_modules": ["wo"]},
    {"peft_type": "PROMPT_TUNING", "prompt_tuning_init_text": "Is it / was it?\n", "token_dim": 4},
    {"peft_type": "OFT", "oft_block_size": 4, "eps": 6e-05, "coft": False},
]


def written(config: object) -> tuple[dict[str, Any] | None, list[str]]:
    """What is written of it, and what is told."""
    out = adapter_files.reemit(json.dumps(config).encode(), WHERE)
    told = [*out.notes, *(f"{each.location} {each.reason}" for each in out.dropped)]
    data = out.files.get(WHERE)
    return None if data is None else json.loads(check(WHERE, data, {""})), told


@pytest.mark.parametrize("config", HONEST, ids=lambda config: f"{config['peft_type']}")
def test_an_honest_configuration_is_written_as_it_is(config: dict[str, Any]) -> None:
    assert written(config) == (config, [])
    noise = {"megatron_core": "megatron.core", "megatron_config": None, "auto_mapping": None}
    assert written(config | noise) == (config, [])


def test_the_base_is_not_named_and_a_note_says_so() -> None:
    config, told = written(HONEST[0] | {"base_model_name_or_path": "org/base", "revision": "main"})
    assert config == HONEST[0]
    assert any("org/base" in each and "PeftModel.from_pretrained" in each for each in told)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("megatron_core", "evil.core"),
        ("auto_mapping", {"base_model_class": "A", "parent_library": "evil"}),
        ("target_modules", "../../etc/passwd"),
        ("target_modules", r"((a+)+)+$"),
        ("target_modules", ".*" * 20 + "x"),
        ("target_modules", "(" * 300 + "a" + ")" * 300 + "("),
        ("target_modules", ["q", {"x": "/etc"}]),
        ("rank_pattern", {r"(x+x+)+y": 4}),
        ("rank_pattern", {"q_proj": "https://x.example"}),
        ("init_lora_weights", "/tmp/x"),
        ("modules_to_save", [[[[["deep"]]]]]),
        ("loftq_config", {"loftq_bits": 4}),
        ("surprise", 1),
        ("peft_version", "../1"),
    ],
)
def test_what_is_not_plain_is_left_out_and_named(key: str, value: object) -> None:
    config, told = written(HONEST[1] | {key: value})
    assert config == {name: item for name, item in HONEST[1].items() if name != key}
    assert any(key in each for each in told)


@pytest.mark.parametrize(
    "config",
    [{}, {"peft_type": "XLORA", "adapters": {"a": "x/y"}}, {"peft_type": ["LORA"]}, [1], 7],
)
def test_what_is_no_known_kind_of_adapter_is_not_exported(config: object) -> None:
    kept, told = written(config)
    assert kept is None
    assert any("was not exported" in each for each in told)


def test_no_kind_of_adapter_has_a_key_that_leads_elsewhere() -> None:
    elsewhere = {"base_model_name_or_path", "revision", "auto_mapping", "tokenizer_name_or_path"}
    for keys in tables.read("peft_keys.json")["types"].values():
        assert not elsewhere & set(keys.split())
        assert {"peft_type", "task_type", "inference_mode"} <= set(keys.split())


def test_the_user_s_word_names_the_base() -> None:
    files = {WHERE: b'{"peft_type": "LORA"}', "sub/adapter_config.json": b"{}", "a.json": b"{}"}
    named = base_model.name_it(files, "org/base@main")
    assert json.loads(named[WHERE]) == {
        "peft_type": "LORA",
        "base_model_name_or_path": "org/base",
        "revision": "main",
    }
    assert json.loads(named["sub/adapter_config.json"])["base_model_name_or_path"] == "org/base"
    assert named["a.json"] == b"{}"
    assert base_model.name_it(files, None) == files


@pytest.mark.parametrize(
    "text", ["", "/etc/x", "../x", "a/b/c", "a b", "https://h/x", "a/b@", ".x"]
)
def test_a_base_that_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="base: "):
        Options(base=text)
    assert Options(base="org/base@1a2b").base == "org/base@1a2b"
