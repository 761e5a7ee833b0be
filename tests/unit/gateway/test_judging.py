"""What the process that judges says a verdict is about."""

from __future__ import annotations

from pathlib import Path

import pytest
from safe_load.core.options import Options
from safe_load.gateway.judging import _key
from safe_load.sources import hub

pytestmark = pytest.mark.anyone

DIGESTS = {Path("model.safetensors"): "5" * 64}


def key(repo: str, digests: dict[Path, str] = DIGESTS, **options: object) -> str:
    commit = "a" * 40
    snapshot = hub.Snapshot(
        hub.named(repo, commit), commit, Path("x"), frozenset(("model.safetensors",))
    )
    return _key(snapshot, digests, Options(**options))  # type: ignore[arg-type]


def test_the_same_bytes_have_one_verdict_under_names_that_nothing_speaks_against() -> None:
    assert key("org/one") == key("another/two")
    assert key("org/one") != key("org/one", {Path("model.safetensors"): "6" * 64})
    assert key("org/one") != key("org/one", {Path("pytorch_model.bin"): "5" * 64})


def test_a_name_that_imitates_another_does_not_get_the_verdict_of_the_good_one() -> None:
    assert key("goog1e/bert") != key("google/bert")


def test_a_required_publisher_is_required_of_bytes_that_are_known_too() -> None:
    wanted = ("google",)
    assert key("org/one", require_publisher=wanted) != key("google/one", require_publisher=wanted)
