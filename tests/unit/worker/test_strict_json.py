from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safe_load.worker.strict_json import Malformed, parse, split

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**90), 10**90)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_json_writes_is_read_back_unchanged(value: object, ascii_only: bool) -> None:
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode(), where="x") == value


@given(VALUES)
def test_splitting_takes_out_the_strings_and_nothing_else(value: object) -> None:
    data = json.dumps(value).encode()
    strings, bare = split(data)
    assert b'"' not in bare
    assert len(bare) + sum(len(string) + 2 for string in strings) == len(data)


@given(st.text(alphabet='{}[]",:\\u0dD81e-.tfn \n', max_size=60))
def test_whatever_is_accepted_python_reads_the_same(text: str) -> None:
    try:
        value = parse(text.encode(), where="x")
    except Malformed:
        return
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a": 1, "a": 2}', "the key 'a' appears twice"),
        (b'{"x": [{"b": 1, "b": 1}]}', "the key 'b' appears twice"),
        (b'{\n\n"a": }', "line 3: not JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"1" * 5000 + b"}", "more than 100 digits"),
        (b'{"a": 1.' + b"1" * 101 + b"}", "more than 100 digits"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        (b'{"a":\n"\xff"}', "line 2: not UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"\\udc00": 1}', "surrogate"),
        (b"[" * 100_000, "nested deeper"),
        (b"[" * 33 + b"]" * 33, "nested deeper than 32"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "nested deeper than 32"),
        (b"[}", "nested deeper|not JSON"),
        (b'["' + b"a" * (1 << 20) + b'b"]', "a string is longer"),
        (b'["\\n' + b"a" * (1 << 20) + b'"]', "a string is longer"),
        (b"[" + b"0," * 2_000_000 + b"0]", "2,000,002 items"),
        (b" " * ((16 << 20) + 1), "more than 16,777,216"),
        (b"", "not JSON"),
        (b"\x00", "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    ],
)  # fmt: skip
def test_bad_json_is_refused_with_one_sentence_that_names_the_file(
    data: bytes, reason: str
) -> None:
    with pytest.raises(Malformed, match=reason) as caught:
        parse(data, where="config.json")
    assert str(caught.value).startswith("config.json")
    assert "\n" not in str(caught.value)


def test_brackets_in_strings_do_not_count_as_depth() -> None:
    assert parse(b'["' + b"[" * 100 + b'\\"[[["]', where="x") == ["[" * 100 + '"[[[']


def test_32_levels_are_accepted() -> None:
    assert parse(b"[" * 32 + b"]" * 32, where="x")


def test_pairs_of_surrogates_are_one_character() -> None:
    assert parse(b'"\\ud83d\\ude00"', where="x") == "\U0001f600"


def test_infinity_is_read_where_it_is_allowed() -> None:
    assert parse(b"[Infinity, -Infinity, 1e999]", where="x", allow_nonfinite=True) == [
        float("inf"), float("-inf"), float("inf"),
    ]  # fmt: skip


@pytest.mark.timeout(60)  # a second; with a step back at each byte it would be hours
@pytest.mark.parametrize(
    "piece", [b'"', b'\\"', b'"\\', b"\\", b'"\\"', b"[", b"{}", b'":', b'\\"\\\\"'], ids=repr
)
def test_no_hostile_megabytes_take_long(piece: bytes) -> None:
    data = piece * ((8 << 20) // len(piece))
    with pytest.raises(Malformed):
        parse(b"[" + data, where="x")
