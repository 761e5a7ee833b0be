"""What is sent in names of hosts is read together."""

from __future__ import annotations

import pytest
from safe_load.judge.tunnels import spelled

pytestmark = pytest.mark.anyone


def test_pieces_in_several_names_are_joined_without_the_domain() -> None:
    names = ["abc.def.t.evil.example", "abc.def.t.evil.example", "ghi.t.evil.example", "www.other.example"]  # fmt: skip
    assert spelled(names) == ["abcdef", "abcdef", "abcdefghi", "www"]


def test_one_name_is_read_by_its_labels_and_odd_ones_do_no_harm() -> None:
    assert spelled(["aa.bb.evil.example"]) == ["aabb"]
    assert spelled([]) == []
    assert spelled(["", ".", "localhost", "a..b"]) == ["", "", "", "a"]


def test_only_the_end_of_what_came_before_is_kept() -> None:
    last = spelled([f"{number:063d}.evil.example" for number in range(1000)])[-1]
    assert len(last) < 200
