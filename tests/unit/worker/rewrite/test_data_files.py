"""Files of plain data come out as they are, and nothing in them leads elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from safe_load.rewrite.canonical import check
from safe_load.worker.rewrite import data_files, sentence_files


def written(name: str, value: object) -> tuple[Any, list[str]]:
    """What is written, in the form that the controller demands, and what is told."""
    out = data_files.reemit(name, json.dumps(value).encode(), name)
    told = [*out.notes, *(f"{each.location} {each.reason}" for each in out.dropped)]
    told += [f"{each.location} {each.kind}" for each in out.requests]
    data = out.files.get(name)
    return None if data is None else json.loads(check(name, data, {""})), told


HONEST: dict[str, Any] = {
    "params.json": {"dim": 4096, "n_layers": 32, "norm_eps": 1e-05, "vocab_size": -1, "use_scaled_rope": True},
    "trainer_state.json": {
        "best_metric": None,
        "epoch": 2.5,
        "log_history": [{"epoch": 0.5, "loss": 2.1, "step": 10}, {"eval_f1": 0.9, "step": 10}],
        "stateful_callbacks": {"TrainerControl": {"args": {"should_log": False}, "attributes": {}}},
    },
    "open_clip_config.json": {
        "model_cfg": {"embed_dim": 8, "vision_cfg": {"layers": 1, "width": 16}, "text_cfg": {"vocab_size": 9}},
        "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "interpolation": "bicubic"},
    },
    "quantize_config.json": {"bits": 4, "group_size": 128, "desc_act": False, "quant_method": "gptq"},
    "hparams.json": {"lr": 0.001, "name": "adam", "layers": [1, 2, 3], "warm": None},
    "id2label.json": {"0": "left/right", "1": "https is a word", "2": "日本語"},
    "labels.json": ["a/b", "c"],
    "label2id.json": {"a/b": 0, "c": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_plain_data_is_written_as_it_is(name: str) -> None:
    assert written(name, HONEST[name]) == (HONEST[name], [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("best_model_checkpoint", "/home/me/out/checkpoint-10"),
        ("output", "../x"),
        ("url", "https://host.example/x"),
        ("model", "org/model"),
        ("auto_map", {"AutoModel": "x.Y"}),
        ("base_model_name_or_path", "word"),
        ("attn_implementation", "org/kernel"),
        ("hf_model_name", "roberta"),
        ("hf_tokenizer_name", "org/tokenizer"),
        ("template", "{{ x.__class__ }}"),
        ("huge", 1 << 70),
        ("places", ["word", "/etc/passwd"]),
        ("inner", {"deep": {"auto_map": {"AutoModel": "x.Y"}}}),
    ],
)
def test_what_leads_elsewhere_is_left_out_and_named(key: str, value: object) -> None:
    kept, told = written("trainer_state.json", {"epoch": 1, key: value})
    assert kept["epoch"] == 1
    assert json.dumps(kept.get(key, {})) in ("{}", '{"deep": {}}')
    assert any(key in each for each in told)


def test_what_lies_too_deep_is_left_out() -> None:
    value: Any = 1
    for _ in range(30):
        value = {"x": value}
    _, told = written("params.json", value)
    assert any("too deep" in each for each in told)


@pytest.mark.parametrize("value", [1, "text", None])
def test_what_is_no_table_is_not_exported(value: object) -> None:
    kept, told = written("params.json", value)
    assert kept is None
    assert any("was not exported" in each for each in told)


def test_code_that_a_label_file_asks_for_is_told() -> None:
    _, told = written("id2label.json", {"auto_map": {"AutoModel": "evil.Model"}})
    assert any("code" in each for each in told)


@pytest.mark.parametrize(
    ("module", "config"),
    [
        ("CNN", {"in_embedding_dimension": 16, "out_channels": 8, "kernel_sizes": [1, 3], "stride_sizes": [1, 1]}),
        ("LSTM", {"embedding_dimension": 16, "hidden_dim": 8, "num_layers": 1, "dropout": 0.0, "bidirectional": True}),
    ],
)  # fmt: skip
def test_a_module_s_configuration_is_found_under_its_own_name(
    module: str, config: dict[str, Any]
) -> None:
    name = sentence_files.config_name(module)
    assert name == f"{module.lower()}_config.json"
    path = f"1_{module}/{name}"
    out = sentence_files.reemit({}, {path: (module, json.dumps(config).encode())})
    assert json.loads(check(path, out.files[path], {"", f"1_{module}"})) == config
