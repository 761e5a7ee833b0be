"""What a source's name, its commit and the hub's word make known, and what of it is a finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from safe_load.core.errors import UsageError
from safe_load.core.options import Options
from safe_load.core.outside_words import HubWord
from safe_load.judge.behaviour import RULES
from safe_load.judge.threshold import counts
from safe_load.provenance import origin
from safe_load.sources import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def word(**more: Any) -> HubWord:
    return HubWord("yes", **more)


def of(name: str, said: HubWord | None = None, **options: Any) -> origin.Origin:
    parsed = hub.parse(f"hf://{name}")
    snapshot = hub.Snapshot(parsed, COMMIT, Path("/x"), frozenset(), word=said or word())
    return origin.of(str(parsed), snapshot, Options(**options))


def ids(found: origin.Origin) -> dict[str, str]:
    return {each.id: each.severity for each in found.findings}


def test_a_floating_name_is_told_with_the_pin_to_write() -> None:
    source = of("google/x").source
    assert (source.publisher, source.revision, source.pinned) == ("google", COMMIT, False)
    assert source.pin == f"hf://google/x@{COMMIT}"
    assert of(f"google/x@{COMMIT}").source.pinned is True
    assert of("google/x@v1.0/sub").source.pin == f"hf://google/x@{COMMIT}/sub"


@pytest.mark.parametrize(
    ("name", "said", "vouched"),
    [
        ("google/x", word(), "list"),
        ("someone/x", word(), "unknown"),
        ("someone/x", word(downloads=10**9, likes=10**6), "unknown"),
        ("someone/x", word(verified=True), "hub"),
        ("someone/x", word(verified=False), "unknown"),
        ("google/x", HubWord("offline"), "list"),
    ],
)
def test_what_vouches_for_a_publisher(name: str, said: HubWord, vouched: str) -> None:
    assert of(name, said).source.vouched == vouched


def test_what_the_hub_was_not_asked_is_told_as_not_asked() -> None:
    (note,) = of("google/x", HubWord("offline")).notes
    assert note.startswith("not asked: ")
    assert of("google/x").notes == ()


def test_popularity_excuses_no_imitation() -> None:
    assert ids(of("0penai/x", word(downloads=10**9, likes=10**7, created=days_ago(2000)))) == {
        "SL702": "medium"
    }
    assert ids(of("0penai/x", word(verified=True))) == {"SL702": "medium"}


def test_a_renamed_repository_is_judged_by_both_names() -> None:
    found = of("someone/x", word(name="0penai/x"))
    assert ids(found) == {"SL702": "medium"}
    assert "another repository, 0penai/x" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "age", "severity"),
    [
        ("someone/bert-base-uncased", 3, "medium"),
        ("someone/Bert_Base_uncased", 89, "medium"),
        ("someone/bert-base-uncased", 200, "low"),
        ("someone/bert-base-uncased", 900, None),
        ("someone/my-own-name", 3, None),
        ("google/bert-base-uncased", 3, None),
    ],
)
def test_a_known_models_name_in_a_young_repository(
    name: str, age: int, severity: str | None
) -> None:
    expected = {"SL703": severity} if severity else {}
    assert ids(of(name, word(created=days_ago(age), downloads=10**9))) == expected


@pytest.mark.parametrize("created", [None, "", "soon", "9999-99-99"])
def test_an_age_that_the_hub_does_not_tell_is_no_finding(created: str | None) -> None:
    assert ids(of("someone/bert-base-uncased", word(created=created))) == {}


@pytest.mark.parametrize(
    ("name", "said", "wanted", "accepted"),
    [
        ("google/x", word(), ("google",), True),
        ("Google/x", word(), ("google",), True),
        ("google-bert/x", word(), ("google",), False),
        ("google-bert/x", word(), ("meta-llama", "google-*"), True),
        ("someone/x", word(), ("listed",), False),
        ("google/x", word(), ("listed",), True),
        ("someone/x", word(verified=True), ("verified",), True),
        ("google/x", word(), ("verified",), False),
        ("google/x", word(name="someone/x"), ("google",), False),
        ("google/x", word(name="someone/x"), ("google", "someone"), True),
    ],
)
def test_a_publisher_is_required(
    name: str, said: HubWord, wanted: tuple[str, ...], accepted: bool
) -> None:
    found = ids(of(name, said, require_publisher=wanted))
    assert ("SL705" not in found) is accepted


def test_a_requirement_rejects_whatever_the_threshold() -> None:
    (found,) = of("google/x", require_pin=True).findings
    assert found.id == "SL704"
    assert f"hf://google/x@{COMMIT}" in found.detail
    assert counts(found, "never")
    assert counts(found, "critical")
    assert of(f"google/x@{COMMIT}", require_pin=True).findings == ()


def test_a_path_is_pinned_by_nothing_and_its_publisher_is_the_paths_word(tmp_path: Path) -> None:
    snapshot = tmp_path / f"models--0penai--x/snapshots/{COMMIT}"
    options = Options(require_pin=True, require_publisher=("0penai",))
    found = origin.of(str(snapshot), None, options)
    assert (found.source.publisher, found.source.revision) == ("0penai", COMMIT)
    assert found.source.pin is None
    assert ids(found) == {"SL702": "medium", "SL704": "medium", "SL705": "medium"}
    plain = origin.of(str(tmp_path), None, Options())
    assert (plain.source.publisher, plain.findings, plain.notes) == (None, (), ())


def test_the_ids_that_are_about_a_name_are_those_of_the_table() -> None:
    assert RULES.keys() >= origin.ORIGIN


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("require_publisher", "google", "is not a tuple of names"),
        ("require_publisher", ("a b",), "'a b' is not a publisher's name"),
        ("publishers", ("org/name/more",), "is not a publisher's name"),
        ("publishers", (3,), "3 is not a publisher's name"),
    ],
)
def test_a_wrong_name_is_told(option: str, value: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Options(**{option: value})
