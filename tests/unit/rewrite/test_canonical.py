"""What the controller takes from the room that writes configuration anew, and what it refuses."""

from __future__ import annotations

import pytest
from safe_load.core.errors import SandboxError
from safe_load.rewrite import canonical, results

FOLDERS = {"", "part"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("config.json", b'{\n  "model_type": "bert",\n  "x": NaN\n}\n'),
        ("part/tokenizer.json", b'{"model":{"vocab":[["a",-0.5]]}}\n'),
        ("vocab.json", '{"ä":0}\n'.encode()),
        ("vocab.txt", "ä\n\n".encode()),
        ("additional_chat_templates/rag.jinja", b"{{ x }}"),
    ],
)
def test_what_is_in_our_form_is_exported_as_it_is(name: str, data: bytes) -> None:
    assert canonical.check(name, data, FOLDERS) == data


def test_another_spelling_of_the_same_values_is_written_in_ours() -> None:
    data = b'{"a" :\t[1e-05 , "\\u0061"]}'
    assert canonical.check("tokenizer.json", data, FOLDERS) == b'{"a":[0.00001,"a"]}\n'
    assert canonical.check("config.json", data, FOLDERS).startswith(b'{\n  "a": [\n    1e-05,')


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("modeling.py", b"import os"),
        ("../config.json", b"{}"),
        ("other/config.json", b"{}"),
        ("/config.json", b"{}"),
        ("adapter_config.bin", b"{}"),
        ("config.json", b'{"auto_map": {"AutoModel": "x.X"}}'),
        ("config.json", b'{"a": [{"_attn_implementation": "a/b"}]}'),
        ("config.json", b'{"a": 1, "a": 2}'),
        ("config.json", b"1"),
        ("config.json", b"[" * 100_000),
        ("config.json", b"9" * 5000),
        ("tokenizer.json", b"[" * 100_000),
        ("tokenizer.json", b'{"a": NaN}'),
        ("tokenizer.json", b'{"a": ' + b"9" * 5000 + b"}"),
        ("tokenizer.json", b'{"a": "\xff"}'),
        ("vocab.txt", b"a\0b"),
        ("vocab.txt", b"\xff"),
        ("chat_template.jinja", b"\xff"),
    ],
)
def test_what_no_worker_of_ours_writes_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(SandboxError, match="rewrite room wrote"):
        canonical.check(name, data, FOLDERS)


def test_what_the_room_says_is_typed_and_escaped() -> None:
    said = {
        "error": None,
        "files": [],
        "requests": [],
        "reaches": [],
        "dropped": [],
        "more_dropped": 3,
    }
    notes = ["a\x1b[31mb", "c"]
    configuration = results.configuration(results.read({**said, "notes": notes}), {})
    assert configuration.notes == ["a\\x1b[31mb", "c", "3 more keys were dropped"]
    for wrong in (
        {},
        {**said, "notes": ["x" * 5000]},
        {**said, "notes": [], "more": 1},
        {**said, "notes": 1},
    ):
        with pytest.raises(ValueError, match="malformed"):
            results.read(wrong)
