"""What the process that judges says a verdict is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from safe_load.advisories import store
from safe_load.cache import cache_key
from safe_load.cache.source_index import SourceIndex
from safe_load.core.options import Options
from safe_load.core.outside_words import HubWord
from safe_load.core.report import AcceptedBy, FileInfo, Finding
from safe_load.gateway.judging import _key, _tied, policy_of
from safe_load.rooms import choice
from safe_load.sources import hub

from tests.unit import reports
from tests.unit.advisories.test_advisories import signed

pytestmark = pytest.mark.anyone

DIGESTS = {Path("model.safetensors"): "5" * 64}


NO_WORD = HubWord("no answer")


class Tomorrow(datetime):
    @classmethod
    def now(cls, _: tzinfo | None = None) -> Any:
        return datetime.now(UTC) + timedelta(days=1)


def hub_word(name: str) -> HubWord:
    return HubWord("yes", name=name)


def key(
    repo: str, digests: dict[Path, str] = DIGESTS, word: HubWord = NO_WORD, **options: object
) -> str:  # fmt: skip
    commit = "a" * 40
    snapshot = hub.Snapshot(
        hub.named(repo, commit), commit, Path("x"), frozenset(("model.safetensors",)), word=word
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


def test_a_signature_that_one_name_must_have_is_asked_of_bytes_that_are_known_under_another(
    tmp_path: Path,
) -> None:
    trust = tmp_path / "trust.toml"
    trust.write_text(
        '[[signer]]\nname = "acme"\nmethod = "key"\npublisher = "acme/*"\nrequired = true\nkey = "k"\n'
    )
    (tmp_path / "k").write_text("a key")
    assert key("org/copy", trust=trust) != key("acme/model", trust=trust)
    assert key("org/copy", trust=trust) != key("ACME/model", trust=trust)
    renamed = hub_word("acme/model")
    assert key("org/copy", trust=trust) != key("org/copy", trust=trust, word=renamed)
    assert key("org/copy", trust=trust) == key("org/other", trust=trust)


def test_a_name_on_a_list_does_not_get_the_verdict_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "home"))
    before = key("org/one")
    store.add_list(*signed(tmp_path / "bad.json"))
    assert key("org/one") != before  # which was given before the list was there
    assert key("evil/model") != key("org/one") == key("org/two")
    assert key("org/one", word=hub_word("Evil/Model")) != key("org/one")


def test_a_verdict_outlives_the_day_also_where_signatures_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = tmp_path / "trust.toml"
    trust.write_text('[[signer]]\nname = "acme"\nmethod = "key"\nkey = "k"\n')
    (tmp_path / "k").write_text("a key")
    profile = choice.profile_of(Options())
    backend: Any = SimpleNamespace(profile=profile, uses_host_packages=False, packages_id=str)
    options = Options(trust=trust)
    index = SourceIndex(tmp_path / "index")
    monkeypatch.setattr(cache_key, "datetime", Tomorrow)
    later = cache_key.policy(options, backend, index), policy_of(options, backend, tmp_path)
    monkeypatch.undo()
    now = cache_key.policy(options, backend, index), policy_of(options, backend, tmp_path)
    assert later[0] != now[0]
    assert later[1] == now[1]
    (tmp_path / "k").write_text("another key")
    assert policy_of(options, backend, tmp_path) != now[1]


def test_no_finding_that_an_exception_covers_is_left_out() -> None:
    def found(number: int, accepted: AcceptedBy | None) -> Finding:
        return Finding("SL502", "medium", "code", "", f"{number}.py:1", accepted=accepted)

    files = [FileInfo(f"{number}.py", 1, f"{number:064x}", "code", "data") for number in range(700)]
    by = AcceptedBy("0" * 64, "read", "2999-01-01", "me")
    findings = [found(number % 600, None) for number in range(1200)] + [
        found(number, by) for number in (650, 650, 699)
    ]
    report = msgspec.structs.replace(reports.clean(), files=files, findings=findings)
    told = _tied(report)
    assert sorted(row[1] for row in told if row[5]) == [f"{each:064x}" for each in (650, 699)]
    assert len(told) == 502
