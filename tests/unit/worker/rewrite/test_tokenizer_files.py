"""A tokenizer's files are written anew, all of them or none; what they ask for besides is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from safe_load.worker.rewrite.tokenizer_files import reemit

TOKENIZER = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": None, "post_processor": None, "decoder": None,
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"},
}  # fmt: skip


def written(config: Any, **others: Any) -> tuple[dict[str, Any], Any]:
    """(tokenizer_config.json as written again, all that came of it)."""
    files = {"tokenizer.json": TOKENIZER, "tokenizer_config.json": config} | {
        name.replace("__", "."): value for name, value in others.items()
    }
    raw = {
        name: value if isinstance(value, bytes) else json.dumps(value).encode()
        for name, value in files.items()
    }
    result = reemit(raw, "")
    return json.loads(result.files.get("tokenizer_config.json", b"{}")), result


HONEST = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "strip_accents": None,
    "model_max_length": 1000000000000000019884624838656,
    "pad_token": None,
    "unk_token": {"__type": "AddedToken", "content": "[/UNK]", "lstrip": False, "normalized": True,
                  "rstrip": False, "single_word": False},
    "additional_special_tokens": ["</s>", {"content": "<../x>", "lstrip": True}],
    "extra_special_tokens": {"image_token": "<image>"},
    "image_token": "<|/image|>",
    "added_tokens_decoder": {"0": {"content": "\x00", "special": True}},
    "clean_up_tokenization_spaces": False,
    "chat_template": "{{ messages[0].content }}",
}  # fmt: skip


def test_an_honest_configuration_means_the_same() -> None:
    kept, result = written(HONEST)
    assert kept == HONEST
    assert not result.requests
    assert not result.dropped
    assert not result.notes


DROPPED: dict[str, Any] = {
    "auto_map": {"AutoTokenizer": ["evil.Evil", None]},
    "vocab": "/etc/passwd",
    "merges": "../../secret",
    "vocab_file": "/etc/passwd",
    "tokenizer_file": "/etc/passwd",
    "merges_file": "/etc/passwd",
    "spm_file": "/etc/passwd",
    "gguf_file": "/etc/passwd",
    "special_tokens_map_file": "/home/author/map.json",
    "name_or_path": "evil/model",
    "audio_tokenizer": {"audio_tokenizer_name_or_path": "evil/model"},
    "init_inputs": ["/etc/passwd"],
    "sp_model_kwargs": {"model_file": "/etc/passwd"},
    "trust_remote_code": True,
    "custom_generate": "evil/model",
    "tokenizer_object": "x",
    "processor_class": "EvilProcessor",
    "slow_tokenizer_class": "os",
    "device": "cuda",
    "backend": "../evil",
    "add_prefix_space": "yes",
    "model_max_length": {"__class__": "x"},
    "padding_side": "/left",
    "model_input_names": ["../x"],
    "response_template": {"x-regex": "(a+)+"},
    "\uff4eame": "x",
    "v\u200bocab": "/etc/passwd",
    "chat_template": "{{ ''.__class__ }}",
    "quantization_config": {"quant_method": "evil", "path": "/etc/passwd"},
}  # fmt: skip


@pytest.mark.parametrize("key", DROPPED)
def test_what_names_code_files_or_places_is_not_written_again(key: str) -> None:
    kept, result = written({"tokenizer_class": "BertTokenizer", key: DROPPED[key]})
    if key == "quantization_config":
        assert kept == {"tokenizer_class": "BertTokenizer"} or "path" not in kept[key]
        assert "/etc" not in json.dumps(kept)
    else:
        assert kept == {"tokenizer_class": "BertTokenizer"}
    assert "tokenizer.json" in result.files


TOLD = {
    "auto_map": {"AutoTokenizer": ["evil.Evil", None]},
    "vocab": "/etc/passwd",
    "gguf_file": "x",
    "init_inputs": ["/etc/passwd"],
    "fast_tokenizer_files": ["../outside/tokenizer.1.0.json"],
    "tokenizer_class": "OsSystem",
    "audio_tokenizer": {"audio_tokenizer_name_or_path": "evil/model"},
}


@pytest.mark.parametrize("key", TOLD)
def test_what_would_have_steered_is_a_finding(key: str) -> None:
    _, result = written({key: TOLD[key]})
    assert {ask.severity for ask in result.requests if key in ask.location} == {"medium"}


BROKEN: dict[str, Any] = {
    "tokens that are paths to objects": {"added_tokens_decoder": {"0": {"content": ["x"]}}},
    "ids that are names": {"added_tokens_decoder": {"x": {"content": "x"}}},
    "tokens of another type": {"pad_token": {"__type": "Path", "content": "/etc"}},
    "a list": [1],
    "two equal keys": b'{"a": 1, "a": 2}',
    "half of a surrogate pair": b'{"pad_token": "\\ud800"}',
    "depth": b'{"a":' * 10_000,
    "a million digits": b'{"model_max_length": ' + b"9" * 1_000_000 + b"}",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_configuration_leaves_out_the_whole_tokenizer_and_says_why(what: str) -> None:
    _, result = written(BROKEN[what])
    assert not result.files
    assert [
        note
        for note in result.notes
        if note.startswith("no tokenizer was exported: tokenizer_config.json")
    ]


def test_nan_and_infinity_become_no_numbers_of_a_configuration() -> None:
    kept, _ = written(b'{"model_max_length": Infinity, "stride": NaN}')
    assert kept == {}


def test_lines_of_text_come_out_byte_by_byte_or_not_at_all() -> None:
    words = "[PAD]\nä\n \n\u2028\x85\n#version\n\r\n".encode()
    _, result = written({}, vocab__txt=words)
    assert result.files["vocab.txt"] == words
    for bad in (b"\xff\xfe", b"a\0b", b"x" * 1_000_000):
        _, result = written({}, vocab__txt=bad)
        assert not result.files
        assert "vocab.txt" in result.notes[0]


def test_a_conversion_takes_the_place_of_all_that_was_there() -> None:
    raw = {"tokenizer_config.json": json.dumps({"tokenizer_class": "T5Tokenizer"}).encode()}
    assert not reemit(raw, "", {}).files
    made = {
        "tokenizer.json": json.dumps(TOKENIZER).encode(),
        "tokenizer_config.json": b'{"auto_map": {}}',
    }
    result = reemit(raw, "", made)
    assert json.loads(result.files["tokenizer.json"]) == TOKENIZER
    assert json.loads(result.files["tokenizer_config.json"]) == {}


def test_what_a_conversion_made_is_no_more_trusted_than_a_model() -> None:
    result = reemit(
        {}, "", {"tokenizer.json": b'{"model": {"type": "Evil"}}', "tokenizer_config.json": b"{}"}
    )
    assert not result.files
    assert "Evil" in result.notes[0]
