from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safe_load.worker.rewrite import config_requests
from safe_load.worker.rewrite.config_requests import MAX_ASKS
from safe_load.worker.rewrite.model_config import Malformed, Reemitted, reemit

BERT: dict[str, Any] = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384}


def of(config: object, **others: object) -> Reemitted:
    files = {"config.json": config, **{f"{name}.json": value for name, value in others.items()}}
    return reemit({name: json.dumps(value).encode() for name, value in files.items()})


def kept(result: Reemitted, name: str = "config.json") -> Any:
    return json.loads(result.files[name])


def test_an_honest_configuration_comes_back_whole_with_nothing_asked_or_noted() -> None:
    config = BERT | {
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "torch_dtype": "float16", "use_cache": True,
        "id2label": {"0": "N/A", "1": "yes/no\n"}, "label2id": {"N/A": 0, "yes/no\n": 1}, "pad_token_id": None,
        "transformers_version": "4.57.0.dev0", "tokenizer_class": "BertTokenizerFast", "num_labels": 2,
        "task_specific_params": {"translation": {"prefix": "translate to French: ", "max_length": 3}},
    }  # fmt: skip
    result = of(config)
    assert kept(result) == config
    assert (result.requests, result.dropped, result.notes) == ([], [], [])
    assert (result.model_type, result.architectures) == ("bert", ["BertModel"])


def test_where_the_model_came_from_is_dropped_without_a_finding() -> None:
    result = of(BERT | {"_name_or_path": "/home/someone/model"})
    assert kept(result) == BERT
    assert [dropped.location for dropped in result.dropped] == ["config.json: _name_or_path"]
    assert not result.requests


@pytest.mark.parametrize(
    ("extra", "place", "kind"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map", "code"),
        ({"auto_map": {"AutoModel": "other/repo--evil.Model"}}, "auto_map", "code"),
        ({"custom_pipelines": {"x": {"impl": "evil.Pipe"}}}, "custom_pipelines", "code"),
        ({"custom_generate": "evil/gen"}, "custom_generate", "code"),
        ({"attn_implementation": "evil/kernel"}, "attn_implementation", "kernel"),
        ({"_attn_implementation": "evil/kernel@main"}, "_attn_implementation", "kernel"),
        ({"_attn_implementation_internal": "paged|evil/kernel:f"}, "_attn_implementation_internal", "kernel"),
        ({"attn_implementation": {"": "sdpa", "text_config": "evil/kernel"}}, "attn_implementation", "kernel"),
        ({"_experts_implementation": "evil/kernel"}, "_experts_implementation", "kernel"),
        ({"base_model_name_or_path": "evil/base"}, "base_model_name_or_path", "repository"),
        ({"text_encoder_name_or_path": "/etc"}, "text_encoder_name_or_path", "repository"),
        ({"audio_tokenizer": {"audio_tokenizer_name_or_path": "evil/x"}}, "audio_tokenizer", "repository"),
        ({"dtype": "load"}, "dtype", "code"),
        ({"sbert_ce_default_activation_function": "evil.Evil"}, "sbert_ce_default_activation_function", "code"),
        ({"sbert_ce_default_activation_function": "torch.utils.collect_env.main"}, "sbert_ce_default_activation_function", "code"),
        ({"torch_dtype": "hub"}, "torch_dtype", "code"),
        ({"tokenizer_class": "GenerationMixin"}, "tokenizer_class", "code"),
        ({"processor_class": "../evil"}, "processor_class", "code"),
        ({"quantization_config": {"quant_method": "evil_plugin"}}, "quantization_config", "plugin"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "quantization_config", "kernel"),
        ({"model_type": "rwkv"}, "model_type", "kernel"),
        ({"model_type": "upernet", "backbone": "evil/backbone"}, "backbone", "repository"),
        ({"model_type": "upernet", "backbone": "resnet50"}, "backbone", "repository"),
        ({"model_type": "detr", "backbone": "resnet50", "use_timm_backbone": False}, "backbone", "repository"),
        ({"transformers_weights": "../other/pytorch_model.bin"}, "transformers_weights", "path"),
        ({"transformers_weights": "pytorch_model.bin"}, "transformers_weights", "path"),
        ({"hidden_size": 10**12}, "hidden_size", "size"),
        ({"num_labels": 10**9}, "num_labels", "size"),
        ({"num_hidden_layers": 10**7}, "num_hidden_layers", "size"),
    ],
)  # fmt: skip
def test_what_steers_transformers_is_asked_for_and_never_written_again(
    extra: dict[str, Any], place: str, kind: str
) -> None:
    result = of(BERT | extra)
    requests = [ask for ask in result.requests if ask.location == f"config.json: {place}"]
    assert [ask.kind for ask in requests] == [kind]
    assert requests[0].finding == ("SL603" if kind == "size" else "SL503")
    if place not in ("model_type", "quantization_config"):
        assert place not in kept(result)
        assert any(dropped.location == f"config.json: {place}" for dropped in result.dropped)
    assert "evil/" not in result.files["config.json"].decode()


@pytest.mark.parametrize(
    "extra",
    [
        {"auto_map": None},
        {"auto_map": {}},
        {"_attn_implementation": "sdpa"},
        {"_attn_implementation": "flash_attention_2", "_attn_implementation_autoset": True},
        {"attn_implementation": "paged|sdpa"},
        {"dtype": "bfloat16"},
        {"torch_dtype": "torch.float16"},
        {"model_type": "detr", "backbone": "resnet50", "use_timm_backbone": True, "use_pretrained_backbone": True},
        {"tokenizer_class": "LlamaTokenizerFast", "processor_class": "CLIPProcessor"},
        {"quantization_config": {"quant_method": "gptq", "bits": 4, "dtype": "int4", "meta": {"uri": "https://x/y"}}},
        {"quantization_config": {"load_in_4bit": True, "bnb_4bit_compute_dtype": "float16"}},
        {"transformers_weights": "model.safetensors"},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid", "version": "6.2.0"}},
        {"activation_fn": "gelu_new"},
        {"vocab_size": 262144},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
    ],
)  # fmt: skip
def test_what_honest_configurations_hold_is_no_finding(extra: dict[str, Any]) -> None:
    assert of(BERT | extra).requests == []


def test_requests_are_found_in_nested_configurations_and_lists_and_dropped_keys() -> None:
    config = {
        "model_type": "llava",
        "text_config": {"model_type": "llama", "auto_map": {"AutoConfig": "e.C"}, "dtype": "load", "hidden_size": 8},
        "vision_config": {"attn_implementation": "evil/kernel"},
        "unknown": [{"deep": [{"auto_map": {"AutoModel": "e.M"}}]}],
    }  # fmt: skip
    result = of(config)
    assert {ask.location.partition(": ")[2] for ask in result.requests} == {
        "text_config.auto_map", "text_config.dtype", "vision_config.attn_implementation", "unknown[0].deep[0].auto_map",
    }  # fmt: skip
    assert kept(result) == {
        "model_type": "llava",
        "text_config": {"model_type": "llama", "hidden_size": 8},
        "vision_config": {},
    }


def test_objects_without_a_class_lose_what_steers_too() -> None:
    config = {
        "model_type": "clip",
        "text_config_dict": {"auto_map": {"a": "b.c"}, "torch_dtype": "load", "hidden_size": 8, "x_name_or_path": "y"},
        "task_specific_params": {"a": {"auto_map": 1, "prefix": "p", "b": "../x"}},
    }  # fmt: skip
    assert kept(of(config)) == {
        "model_type": "clip",
        "text_config_dict": {"hidden_size": 8},
        "task_specific_params": {"a": {"prefix": "p"}},
    }


def test_keys_and_kinds_that_the_class_does_not_know_are_dropped_and_listed() -> None:
    result = of(
        BERT
        | {
            "surprise": 1,
            "hidden_act": ["gelu"],
            "layer_norm_eps": "1",
            "hidden_dropout_prob": {"a": 1},
            "architectures": ["a b"],
            "vocab_size": 2**63,
        }
    )
    assert kept(result) == {"model_type": "bert", "hidden_size": 384}
    assert {dropped.location.partition(": ")[2] for dropped in result.dropped} == {
        "surprise", "hidden_act", "layer_norm_eps", "hidden_dropout_prob", "architectures", "vocab_size",
    }  # fmt: skip


@pytest.mark.parametrize(
    "value",
    ["org/repo", "/etc/passwd", "../up", "a\\b", "~/x", ".hidden", "https://x", "a\x00", "x" * 257],
)
def test_no_string_that_could_be_a_path_or_a_repository_is_written(value: str) -> None:
    assert "hidden_act" not in kept(of(BERT | {"hidden_act": value}))
    assert "layer_types" not in kept(of(BERT | {"layer_types": ["a", value]}))


def test_an_unknown_architecture_keeps_the_common_keys_alone() -> None:
    result = of(
        {"model_type": "evil_net", "hidden_size": 8, "strange": 3, "auto_map": {"AutoModel": "m.M"}}
    )
    assert kept(result) == {"model_type": "evil_net", "hidden_size": 8}
    assert "unknown architecture" in result.notes[0]
    assert "unknown architecture" in of({"hidden_size": 8}).notes[0]


def test_the_configuration_that_transformers_would_choose_is_written_after_a_look_at_all() -> None:
    files = {
        "config.json": BERT | {"configuration_files": ["config.4.0.0.json", "config.5.0.0.json", "config.9.0.0.json"]},
        "config.4.0.0.json": BERT | {"hidden_size": 4, "auto_map": {"AutoModel": "four.M"}},
        "config.5.0.0.json": BERT | {"hidden_size": 5},
        "config.9.0.0.json": BERT | {"hidden_size": 9, "attn_implementation": "evil/k"},
    }  # fmt: skip
    result = reemit({name: json.dumps(value).encode() for name, value in files.items()})
    assert kept(result)["hidden_size"] == 5
    assert list(result.files) == ["config.json"]
    assert {ask.location for ask in result.requests} == {
        "config.4.0.0.json: auto_map", "config.9.0.0.json: attn_implementation",
    }  # fmt: skip
    assert "config.5.0.0.json" in result.notes[0]


def test_a_redirection_to_another_place_is_a_path_asked_for() -> None:
    result = of(BERT | {"configuration_files": ["config./../../other.json", "config.json"]})
    assert [ask.kind for ask in result.requests] == ["path"]
    assert kept(result) == BERT


def test_generation_settings_are_written_anew_too() -> None:
    generation = {"max_length": 20, "eos_token_id": [1, 2], "stop_strings": ["\n\n/"], "lang_to_id": {"<|en|>": 5}, "_from_model_config": True, "transformers_version": "5.0.0"}  # fmt: skip
    bad = {
        "custom_generate": "evil/gen",
        "compile_config": {"backend": "evil"},
        "max_matching_ngram_size": "../x",
    }
    result = of(BERT, generation_config=generation | bad)
    assert kept(result, "generation_config.json") == generation
    assert [ask.location for ask in result.requests] == ["generation_config.json: custom_generate"]


def test_infinity_survives_as_it_was_written() -> None:
    config = {"model_type": "mamba2", "time_step_limit": [0.0, {"__float__": "Infinity"}]}
    assert kept(of(config)) == config
    config = {"model_type": "mamba2", "time_step_limit": [0.0, float("inf")]}
    assert kept(of(config)) == config


@pytest.mark.parametrize(
    "data", [b"[]", b"{", b'{"a":1,"a":2}', b'{"a":' * 500, b'{"a":' + b"9" * 5000 + b"}"]
)
def test_files_that_are_no_bounded_json_object_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"config\.json"):
        reemit({"config.json": data})
    with pytest.raises(Malformed, match=r"generation_config\.json"):
        reemit({"generation_config.json": data})


def test_many_small_requests_do_not_hide_a_grave_one() -> None:
    small = [{"hf_hub_id": "a"}] * 1000
    result = of(BERT | {"x": small, "y": {"attn_implementation": "evil/kernel"}, "z": small})
    assert "y.attn_implementation" in "".join(ask.location for ask in result.requests)
    assert len(result.requests) == MAX_ASKS + 1


def test_a_name_that_torch_does_not_have_is_not_written() -> None:
    assert kept(of(BERT | {"dtype": "torch.float16", "torch_dtype": "auto"})) == BERT


@pytest.mark.timeout(120)  # seconds; compared each with each, they would take hours
def test_a_hundred_thousand_requests_are_a_hundred_asks_and_soon_answered() -> None:
    result = of(
        BERT | {"x": [{"auto_map": {"a": "b.c"}}] * 100_000} | {f"k{n}": 1 for n in range(100_000)}
    )
    assert len(result.requests) == MAX_ASKS
    assert len(result.dropped) == 1000


WORDS = st.sampled_from(
    ["auto_map", "dtype", "backbone", "model_type", "text_config", "architectures", "id2label", "hidden_act", "a/b", "../x",
     "quantization_config", "quant_method", "configuration_files", "_name_or_path", "attn_implementation", "pretrained_cfg", "llava"]
)  # fmt: skip
JSON = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(WORDS, JSON, max_size=6),
    st.sampled_from(["bert", "clip", "llava", "encoder-decoder", None]),
)
def test_no_shape_of_values_breaks_it_and_none_of_the_steering_ones_is_written(
    config: dict[str, Any], kind: str | None
) -> None:
    try:
        result = of(config | {"model_type": kind})
    except Malformed:
        return
    written = result.files["config.json"].decode()
    for word in ("auto_map", "attn_implementation", "_name_or_path"):
        assert f'"{word}":' not in written
    again = reemit({"config.json": written.encode()})
    assert again.files == result.files


@pytest.mark.parametrize(
    ("model_type", "extra"),
    [
        ("switch_transformers", {"router_dtype": "hub"}),
        ("xlstm", {"inference_state_dtype": "load"}),
        ("timm_wrapper", {"architecture": "hf-hub:evil"}),
        ("timm_wrapper", {"architecture": "local-dir:evil"}),
        ("rag", {"dataset": "evil"}),
        ("rag", {"index_path": "evil"}),
        ("rag", {"passages_path": "evil"}),
    ],
)
def test_a_plain_word_that_leads_elsewhere_is_dropped(
    model_type: str, extra: dict[str, str]
) -> None:
    assert kept(of({"model_type": model_type} | extra)) == {"model_type": model_type}


@pytest.mark.parametrize(
    ("model_type", "extra"),
    [
        ("switch_transformers", {"router_dtype": "float32"}),
        ("xlstm", {"inference_state_dtype": "float32", "autocast_kernel_dtype": "bfloat16"}),
        ("timm_wrapper", {"architecture": "vit_base_patch16_224.augreg_in21k"}),
        ("rag", {"dataset": "wiki_dpr", "index_name": "exact"}),
        ("llama", {"quantization_config": {"quant_method": "gptq", "bits": 4, "dataset": "c4"}}),
    ],
)
def test_such_a_word_that_leads_nowhere_is_kept(model_type: str, extra: dict[str, Any]) -> None:
    assert kept(of({"model_type": model_type} | extra)) == {"model_type": model_type} | extra


@pytest.mark.parametrize(
    ("auto_map", "model_type", "severity"),
    [
        ({"AutoModelForCausalLM": "modeling_llama2.LlamaForCausalLM"}, "llama", "low"),
        ({"AutoModelForCausalLM": "modeling_x.XModel"}, "llama", "medium"),
        ({"AutoModel": "other/repo--modeling_llama.LlamaModel"}, "llama", "medium"),
        ({"AutoModel": ["modeling_llama.LlamaModel"]}, "llama", "medium"),
        ({"AutoModelForCausalLM": "modeling_my.LlamaForCausalLM"}, "my_custom", "medium"),
    ],
)
def test_an_auto_map_of_what_transformers_has_itself_weighs_little(
    auto_map: dict[str, object], model_type: str, severity: str
) -> None:
    config = {"model_type": model_type, "auto_map": auto_map}
    (found,) = config_requests.find(config, "config.json")
    assert found.severity == severity
    nested = config_requests.find({"text_config": config}, "config.json")
    assert [each.severity for each in nested] == ["medium"]
