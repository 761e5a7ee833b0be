"""Versions and ranges by each ecosystem's own rules."""

from __future__ import annotations

import pytest
from safe_load.advisories import versions

pytestmark = pytest.mark.anyone


@pytest.mark.parametrize(
    ("wanted", "version", "taken"),
    [
        ("^1.0.15", "1.0.16", True),
        ("^1.0.15", "2.0.0", False),
        ("^0.0.3", "0.0.4", False),
        ("~1.2.3", "1.2.9", True),
        ("~1.2.3", "1.3.0", False),
        ("1.x", "1.5.0", True),
        (">=1 <2", "1.5.0", True),
        (">= 1.2.0", "1.3.0", True),
        ("1.2.3 - 2.0.0", "1.5.0", True),
        ("^1.0.0 || ^3.0.0", "3.1.0", True),
        ("^1.0.0 || ^3.0.0", "2.1.0", False),
        # The three that univers reads otherwise.
        ("<=2", "2.5.0", True),
        ("1.2", "1.2.9", True),
        (">1.2", "1.2.5", False),
        ("1.0.16", "1.0.16", True),
        ("1.0.16", "1.0.15", False),
        ("*", "9.9.9", True),
        (None, "9.9.9", True),
        ("latest", "9.9.9", True),
        ("nonsense!", "1.0.0", True),  # a doubt counts
        ("^1.0.0", "nonsense!", True),
    ],
)
def test_npm_takes(wanted: str | None, version: str, taken: bool) -> None:
    assert versions.satisfies("npm", wanted, version) is taken


@pytest.mark.parametrize(
    ("wanted", "version", "taken"),
    [
        (">=1,<2", "1.9", True),
        (">=1,<2", "2.0", False),
        ("~=1.4.2", "1.4.9", True),
        ("~=1.4.2", "1.5", False),
        ("==1.0", "1.0.0", True),
        ("==1.*", "1.7", True),
        ("!=1.3", "1.3", False),
        (">=1", "2.0rc1", True),
        ("1!1.0", "1!1.0", True),
        ("^1.2", "1.9", True),
        ("^1.2", "2.0", False),
        ("^0.2.3", "0.2.9", True),
        ("^0.2.3", "0.3.0", False),
        ("~1.2", "1.2.9", True),
        ("~1.2", "1.3", False),
        (None, "1.0", True),
        ("nonsense!", "1.0", True),
    ],
)
def test_pypi_takes(wanted: str | None, version: str, taken: bool) -> None:
    assert versions.satisfies("pypi", wanted, version) is taken


@pytest.mark.parametrize(
    ("ecosystem", "wanted", "listed", "events", "bad"),
    [
        ("npm", "^1.0.15", ["1.0.16", "1.0.17"], [], "1.0.16"),
        ("npm", "1.0.15", ["1.0.16"], [], None),
        ("npm", "~1.0.17", ["1.0.16"], [], None),
        ("pypi", ">=8.3", ["8.3.41"], [], "8.3.41"),
        ("pypi", "==8.3.41", ["8.3.41"], [], "8.3.41"),
        ("pypi", "==1.0", ["1.0.0"], [], "1.0.0"),
        ("npm", "^1.0.0", [], [{"introduced": "1.0.16"}, {"fixed": "1.0.18"}], "1.0.16"),
        ("npm", "^1.0.18", [], [{"introduced": "1.0.16"}, {"fixed": "1.0.18"}], None),
        ("npm", ">=1.0.17", [], [{"introduced": "1.0.16"}, {"fixed": "1.0.18"}], "1.0.17"),
        ("npm", "1.0.17", [], [{"introduced": "1.0.16"}, {"last_affected": "1.0.17"}], "1.0.17"),
        # Two intervals, the later one first: each by itself.
        ("npm", "2.5.0", [], [{"introduced": "2.0.0"}, {"fixed": "3.0.0"}, {"introduced": "0"}, {"fixed": "1.0.0"}], "2.5.0"),
        ("npm", "1.5.0", [], [{"introduced": "2.0.0"}, {"fixed": "3.0.0"}, {"introduced": "0"}, {"fixed": "1.0.0"}], None),
        ("pypi", None, [], [{"introduced": "0"}], "0.0.0"),
    ],
)  # fmt: skip
def test_a_range_that_takes_a_bad_version_is_told(
    ecosystem: str, wanted: str | None, listed: list[str], events: list[dict[str, str]], bad: str | None
) -> None:  # fmt: skip
    assert versions.takes_one(ecosystem, wanted, listed, events) == bad


def test_the_newest_is_a_final_one_where_there_is_any() -> None:
    assert versions.newest("pypi", ["1.10", "1.9", "2.0rc1", "x"]) == "1.10"
    assert versions.newest("npm", ["1.10.0", "1.9.0", "2.0.0-beta.1"]) == "1.10.0"
    assert versions.newest("npm", ["2.0.0-beta.1"]) == "2.0.0-beta.1"
    assert versions.newest("npm", []) is None
