"""Hostile text is made visible before anyone reads it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safe_load.core.escape import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("one\ntwo\r\n", "one\\ntwo\\r\\n"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("\ufeff\u200b\u3164", "\\ufeff\\u200b\\u3164"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
        ("poids_été_重み_وزن", "poids_été_重み_وزن"),
        ("", ""),
    ],
)
def test_what_would_steer_a_reader_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_long_text_is_cut_and_says_by_how_much() -> None:
    assert visible("a" * 100, 10) == "a" * 10 + "… (90 more characters)"


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec=None, exclude_categories=())))
def test_nothing_but_printable_characters_comes_out(text: str) -> None:
    shown = visible(text)
    assert all(char == " " or unicodedata.category(char)[0] not in "CZ" for char in shown)
    shown.encode()


@pytest.mark.parametrize(
    "command", ["##vso[task.complete]", "##[error]x", "##teamcity[x", "::error::x"]
)
@pytest.mark.parametrize("before", ["", "some text ", "x"])
def test_a_command_to_a_ci_system_is_broken_wherever_it_stands(before: str, command: str) -> None:
    shown = visible(before + command)
    assert "##" not in shown
    assert "::e" not in shown
    assert visible(shown) == shown
