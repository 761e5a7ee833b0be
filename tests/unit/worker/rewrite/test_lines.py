"""A key of a configuration is told with its line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safe_load.worker.rewrite.files import File
from safe_load.worker.rewrite.lines import MAX_SEARCHED, Lines

if TYPE_CHECKING:
    from pathlib import Path


def lines(folder: Path, data: bytes) -> Lines:
    (folder / "config.json").write_bytes(data)
    return Lines([File("config.json", str(folder / "config.json"), len(data))])


@pytest.mark.parametrize(
    ("location", "line"),
    [
        ("config.json: auto_map", 3),
        ("config.json: encoder.auto_map", 7),
        ("config.json: encoder.layers", 6),
        ("config.json: not_there", 0),
        ("config.json", 0),
        ("other.json: auto_map", 0),
    ],
)
def test_the_line_is_that_of_the_key_within_its_object(
    tmp_path: Path, location: str, line: int
) -> None:
    value = {"a": 1, "auto_map": {"b": 2}, "encoder": {"layers": 1, "auto_map": 3}}
    text = json.dumps(value, indent=1).replace('{\n  "b": 2\n }', '{"b": 2}')
    text = text.replace('"encoder"', '\n "encoder"')
    key = location.rpartition(" ")[2].rpartition(".")[2]
    assert not line or f'"{key}"' in text.splitlines()[line - 1]
    assert lines(tmp_path, text.encode()).of(location) == line


def test_odd_names_and_large_files_have_no_line(tmp_path: Path) -> None:
    assert lines(tmp_path, b'{"\xff": 1}').of("config.json: \udcff.x\n") == 0
    large = b'{"k": "' + b"x" * MAX_SEARCHED + b'"}'
    assert lines(tmp_path, large).of("config.json: k") == 0


@pytest.mark.parametrize(
    ("data", "text", "line"),
    [
        (b"one\n{{ x.__class__ }}\n", " x.__class__ ", 2),
        (b'{\n "a": 1,\n "t": "{{ x[\\"__mro__\\"] }}"\n}', ' x["__mro__"] ', 3),
        ('{\n "t": "{{ \u00e9.__class__ }}"\n}'.encode(), " \u00e9.__class__ ", 2),
        (b"one\ntwo", "three", 0),
        (b"a\n" * MAX_SEARCHED + b"b", "b", 0),
    ],
)
def test_a_text_is_found_as_it_stands_or_as_json_writes_it(
    data: bytes, text: str, line: int, tmp_path: Path
) -> None:
    assert lines(tmp_path, data).of_text("config.json", text) == line
    assert lines(tmp_path, data).of_text("other.json", text) == 0
