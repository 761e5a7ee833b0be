"""Every path is one of the hub's addresses, spelt as a client spells it, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safe_load.gateway.address import Address, parse, parts
from safe_load.gateway.answers import header, span_of

pytestmark = pytest.mark.anyone

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/api/models/org/name", Address("info", "org/name")),
        ("/api/models/gpt2", Address("info", "gpt2")),
        ("/api/models/org/name/revision/main", Address("info", "org/name", "main")),
        ("/api/models/gpt2/revision/refs%2Fpr%2F7", Address("info", "gpt2", "refs/pr/7")),
        (f"/api/models/org/name/tree/{COMMIT}", Address("tree", "org/name", COMMIT)),
        ("/api/models/org/name/tree/main/a%20b/c", Address("tree", "org/name", "main", "a b/c")),
        ("/api/models/org/name/refs", Address("refs", "org/name")),
        ("/api/models/org/name/paths-info/main", Address("paths-info", "org/name")),
        (
            "/org/name/resolve/v1.0/config.json",
            Address("resolve", "org/name", "v1.0", "config.json"),
        ),
        ("/gpt2/resolve/main/onnx/m.onnx", Address("resolve", "gpt2", "main", "onnx/m.onnx")),
        ("/org/resolve/resolve/main/x", Address("resolve", "org/resolve", "main", "x")),
    ],
)
def test_what_clients_ask_for_is_understood(path: str, address: Address) -> None:
    if path.startswith(
        "/org/resolve/"
    ):  # a repository of that name: the first "resolve" is taken for the verb
        assert parse(path.encode()) in (
            None,
            address,
            Address("resolve", "org", "resolve", "main/x"),
        )
        return
    assert parse(path.encode()) == address


@pytest.mark.parametrize(
    "path",
    [
        "/org/name/resolve/main/../../../etc/passwd",
        "/org/name/resolve/main/%2e%2e/%2e%2e/etc/passwd",
        "/org/name/resolve/main/..%2f..%2fetc%2fpasswd",
        "/org/name/resolve/main/a%2fb",
        "/org/name/resolve/main//etc/passwd",
        "/org/name/resolve/main/%2fetc/passwd",
        "/org/name/resolve/main/a%5c..%5cb",
        "/org/name/resolve/main/a\\b",
        "/org/name/resolve/main/config.json%00.txt",
        "/org/name/resolve/main/a%0d%0aX-Evil:%201",
        "/org/name/resolve/main/%c0%ae%c0%ae/x",
        "/org/name/resolve/main/%ed%a0%80",
        "/org/name/resolve/../main/config.json",
        "/org/name/resolve/..%2fmain/config.json",
        "/org/../name/resolve/main/x",
        "/%2e%2e/name/resolve/main/x",
        "/org%2fname/resolve/main/x",
        "/org/name/resolve/main",
        "/org/name/resolve/main/" + "a/" * 70 + "b",
        "/org/name/resolve/main/" + "a" * 5000,
        "/org/a--b/resolve/main/x",
        "/api/models/org/name/tree",
        "/api/models/a/b/c",
        "/api/models",
        "/api/datasets/org/name",
        "/datasets/org/name/resolve/main/x",
        "org/name/resolve/main/x",
        "//org/name/resolve/main/x",
        "http://elsewhere/org/name/resolve/main/x",
        "",
    ],
)
def test_a_path_that_leads_elsewhere_is_none(path: str) -> None:
    assert parse(path.encode()) is None


@given(st.binary(max_size=200))
def test_whatever_the_path_the_parts_lead_down_and_are_printable(raw: bytes) -> None:
    for part in parts(b"/" + raw) or ():
        assert part not in ("", ".", "..")
        assert not set(part) & set("\0\r\n\\")
    found = parse(b"/org/name/resolve/main/" + raw)
    if found is not None:
        assert ".." not in found.path.split("/")
        assert not found.path.startswith("/")


@pytest.mark.parametrize(
    ("wanted", "span"),
    [
        ("bytes=0-", (0, 10)),
        ("bytes=3-", (3, 10)),
        ("bytes=3-5", (3, 6)),
        ("bytes=3-99", (3, 10)),
        ("bytes=-4", (6, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=10-", (0, 0)),
        ("bytes=5-3", (0, 0)),
        ("bytes=-0", (0, 0)),
        ("bytes=-", (0, 0)),
        ("bytes=a-b", (0, 0)),
        ("bytes=--1", (0, 0)),
        ("bytes=" + "9" * 30 + "-", (0, 0)),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
    ],
)
def test_a_range_is_served_refused_or_ignored_as_the_standard_says(
    wanted: str, span: tuple[int, int] | None
) -> None:
    assert span_of(wanted, 10) == span


def test_no_range_of_an_empty_file_can_be_served() -> None:
    assert span_of("bytes=0-", 0) == (0, 0)
    assert span_of("bytes=-5", 0) == (0, 0)


@given(st.text(max_size=3000))
def test_a_header_is_one_bounded_line_of_printable_ascii(text: str) -> None:
    made = header(text)
    assert len(made) < 12_000
    assert all(" " <= char <= "~" for char in made)
