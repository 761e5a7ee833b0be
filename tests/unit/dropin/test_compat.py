"""Each version of transformers is met by the module that knows it, and an unknown one by an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from safe_load.core.errors import UsageError
from safe_load.dropin import compat
from safe_load.dropin.compat.v4_57 import V4
from safe_load.dropin.compat.v5 import V5

DROPIN = Path(compat.__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("version", "expected"),
    [("4.57.0", V4), ("4.57.6", V4), ("4.60.1", V4), ("5.0.0rc1", V5), ("5.23.0", V5)],
)
def test_a_version_is_met_by_the_module_of_its_range(version: str, expected: type) -> None:
    assert type(compat.of_version(version)) is expected


@pytest.mark.parametrize("version", ["4.56.2", "6.0.0", "6", "", "unknown", "\x1b[2J5.1"])
def test_an_unknown_version_is_refused_with_those_that_are_known(version: str) -> None:
    with pytest.raises(UsageError, match=r"4\.57 to 5\. Install") as raised:
        compat.of_version(version)
    assert "\x1b" not in str(raised.value)


def test_nothing_else_of_the_drop_in_names_what_transformers_keeps_to_itself() -> None:
    inner = re.compile(
        r"\btransformers\.(?!pyi)[a-z_]+\.|_Base[A-Z]\w+|is_dummy|_commit_hash|\"_name_or_path\""
    )
    assert inner.search((DROPIN / "compat" / "interface.py").read_text())
    assert not {path.name for path in DROPIN.glob("*.py") if inner.search(path.read_text())}
