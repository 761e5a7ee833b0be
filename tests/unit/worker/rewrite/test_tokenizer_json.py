"""tokenizer.json is written again from known parts, and everything else is refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from safe_load.worker.rewrite.tokenizer_json import reemit
from safe_load.worker.strict_json import Malformed

BPE: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"},
    "added_tokens": [{"id": 0, "content": "<pad>", "single_word": False, "lstrip": False,
                      "rstrip": False, "normalized": False, "special": True}],
    "normalizer": {"type": "Sequence", "normalizers": [
        {"type": "NFC"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "pre_tokenizer": {"type": "Split", "pattern": {"Regex": r"\p{L}+|\s+"}, "behavior": "Isolated",
                      "invert": False},
    "post_processor": {"type": "TemplateProcessing", "single": [
        {"SpecialToken": {"id": "<pad>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [], "special_tokens": {"<pad>": {"id": "<pad>", "ids": [0], "tokens": ["<pad>"]}}},
    "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
    "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
              "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
              "ignore_merges": False, "vocab": {"<pad>": 0, "a": 1, "b": 2, "ab": 3, "\x1b[31m": 4},
              "merges": [["a", "b"]]},
}  # fmt: skip


def again(whole: Any, dropped: list[str] | None = None) -> Any:
    data = whole if isinstance(whole, bytes) else json.dumps(whole).encode()
    told = dropped if dropped is not None else []
    return json.loads(reemit(data, "tokenizer.json", lambda place, _: told.append(place)))


def changed(path: str, value: Any) -> dict[str, Any]:
    """BPE with the value at a dotted path replaced."""
    whole = json.loads(json.dumps(BPE))
    *folders, last = path.split(".")
    place = whole
    for part in folders:
        place = place[int(part)] if part.isdecimal() else place[part]
    place[last] = value
    return whole


def test_a_tokenizer_of_known_parts_means_the_same_afterwards() -> None:
    dropped: list[str] = []
    assert again(BPE, dropped) == BPE
    assert not dropped


def test_unknown_keys_are_left_out_and_told() -> None:
    dropped: list[str] = []
    whole = changed("model.plugin", "/tmp/evil.so") | {"auto_map": {"x": "y"}}
    assert again(whole, dropped) == BPE
    assert dropped == ["tokenizer.json: model.plugin", "tokenizer.json: auto_map"]


REFUSED = {
    "an unknown component": changed("normalizer", {"type": "PythonNormalizer", "code": "x"}),
    "a component without a type": changed("pre_tokenizer", {"pattern": "x"}),
    "an unknown model": changed("model.type", "Pickle"),
    "a vocabulary with a negative id": changed("model.vocab", {"a": -1}),
    "a vocabulary with a true for an id": changed("model.vocab", {"a": True}),
    "a vocabulary that is a path": changed("model.vocab", "/etc/passwd"),
    "merges that are a path": changed("model.merges", "/etc/passwd"),
    "a regular expression that never ends": changed("pre_tokenizer.pattern", {"Regex": "(a+)+b"}),
    "replacements that double": changed(
        "normalizer.normalizers",
        [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 30,
    ),
    "a thousand components": changed("normalizer.normalizers", [{"type": "NFC"}] * 1000),
    "components within components": changed(
        "normalizer",
        json.loads('{"type":"Sequence","normalizers":[' * 30 + "]}" * 30),
    ),
    "padding to a gigabyte": changed("padding.strategy", {"Fixed": 1 << 30}),
    "a character map that is cut off": changed(
        "normalizer", {"type": "Precompiled", "precompiled_charsmap": "////fw=="}
    ),
    "empty pieces": changed("pre_tokenizer", {"type": "FixedLength", "length": 0}),
    "dropout that is no share": changed("model.dropout", 2),
    "two equal keys": json.dumps(BPE).encode()[:-1] + b', "model": {"type": "BPE"}}',
    "NaN": json.dumps(changed("model.dropout", float("nan"))).encode(),
    "half of a surrogate pair": json.dumps(changed("model.vocab", {"\ud800": 1})).encode(),
    "no model": {"version": "1.0"},
    "a list": [],
    "depth": b"[" * 100_000,
    "no JSON": b"\x80\x04.",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_tokenizer_within_bounds_is_refused_in_one_sentence(what: str) -> None:
    with pytest.raises(Malformed) as error:
        again(REFUSED[what])
    assert str(error.value).startswith("tokenizer.json")
    assert "\n" not in str(error.value)


def test_a_unigram_model_names_no_token_that_it_does_not_have() -> None:
    model = {"type": "Unigram", "unk_id": 5, "vocab": [["a", -1.5]], "byte_fallback": False}
    with pytest.raises(Malformed, match="unk_id"):
        again(BPE | {"model": model})
    assert again(BPE | {"model": model | {"unk_id": 0}})["model"] == model | {"unk_id": 0}
