"""Configuration that keeps a parser busy, through real rooms: within limits."""

from __future__ import annotations

import importlib.util
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from safe_load.core.options import Options
from safe_load.loading import pipeline

if TYPE_CHECKING:
    from pathlib import Path

EMPTY = b"\x08\0\0\0\0\0\0\0{}      "
WORDS = {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1}, "unk_token": "[UNK]"}


def folder(place: Path, **files: Any) -> Path:
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(EMPTY)
    for name, value in {"config_json": {"model_type": "bert"}, **files}.items():
        text = value if isinstance(value, str) else json.dumps(value)
        (place / name.replace("_json", ".json").replace("_jinja", ".jinja")).write_text(text)
    return place


def with_pattern(pattern: str) -> dict[str, Any]:
    split = {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }
    return {"version": "1.0", "added_tokens": [], "pre_tokenizer": split, "model": WORDS}


SLOW: dict[str, dict[str, Any]] = {
    "classes": {"tokenizer_json": with_pattern("[" + "[:a:]" * 60)},
    "assignments": {
        "tokenizer_config_json": {
            "chat_template": "{%set a0='x'~'y'%}"
            + "".join(f"{{%set a{n + 1}=a{n}%}}" for n in range(16_000))
        }
    },
    "blanks": {"x_jinja": ("{%" + " " * 9990 + "%}") * 200},
    "depth": {"tokenizer_json": '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"},
    "a number": {"tokenizer_config_json": '{"vocab_size": ' + "9" * 5000 + "}"},
}


@pytest.mark.parametrize("what", SLOW)
def test_what_kept_the_controller_busy_ends_in_time(what: str, tmp_path: Path) -> None:
    source = folder(tmp_path / "model", **SLOW[what])
    began = time.monotonic()
    report = pipeline.scan(str(source), Options(depth="weights", timeout=60))
    assert time.monotonic() - began < 60
    assert report.outcome in ("ok", "rejected", "limit_hit", "not_loadable")
    assert "rewrite" in [stage.name for stage in report.stages]


def test_a_number_that_no_parser_takes_is_the_models_fault(tmp_path: Path) -> None:
    source = folder(tmp_path / "model", config_json='{"vocab_size": ' + "9" * 5000 + "}")
    report = pipeline.scan(str(source), Options(depth="weights"))
    assert report.outcome == "not_loadable"
    assert "digits" in (report.outcome_detail or "")


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs transformers")
def test_a_template_of_many_rounds_is_left_out_and_costs_no_time(tmp_path: Path) -> None:
    rounds = "{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}"
    source = folder(
        tmp_path / "model",
        tokenizer_json={"version": "1.0", "added_tokens": [], "model": WORDS},
        tokenizer_config_json={
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": rounds,
        },
    )
    report = pipeline.scan(str(source), Options(timeout=120))
    assert report.outcome != "limit_hit"
    assert any(found.id == "SL603" and "rounds" in found.detail for found in report.findings)
