"""What a gateway knows outlives it, whenever it is killed, and a disk without room changes nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safe_load.gateway.records import File, Judged, RecordsError
from safe_load.gateway.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyone

COMMIT, OTHER, POLICY, SHA = "a" * 40, "b" * 40, "p" * 64, "5" * 64
CONTENT = "c" * 64
CLEARED = Judged(
    "cleared", "clean", "", "r.json", "key", CONTENT, "d" * 40, [File("config.json", 2, SHA)]
)  # fmt: skip
FINDING = ("SL502", SHA, "medium", "brings code", "modeling.py", False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "gateway.sqlite") as store:
        yield store


def ended(store: Store, repo: str, commit: str, judged: Judged) -> int:
    store.queue(repo, commit, POLICY, "alice")
    model = store.start(POLICY)
    assert model is not None
    store.end(model.id, judged)
    return model.id


def test_a_model_is_queued_once_and_judged_in_the_order_asked(store: Store) -> None:
    first = store.queue("org/a", COMMIT, POLICY, "alice")
    assert store.queue("org/a", COMMIT, POLICY, "bob") == first
    second = store.queue("org/b", COMMIT, POLICY, "bob")
    assert store.before(second.id) == 1
    started = [store.start(POLICY), store.start(POLICY), store.start(POLICY)]
    assert [model and model.repo for model in started] == ["org/a", "org/b", None]


def test_only_the_policy_in_force_is_served_and_judged(store: Store) -> None:
    ended(store, "org/a", COMMIT, CLEARED)
    store.queue("org/b", COMMIT, POLICY, "alice")
    assert store.by_revision("org/a", "d" * 40, POLICY) is not None
    assert store.by_revision("org/a", "d" * 40, "q" * 64) is None
    assert store.by_revision("org/b", "d" * 40, POLICY) is None
    assert store.start("q" * 64) is None


def test_the_last_cleared_commit_of_a_name_is_known_after_it_moved(store: Store) -> None:
    store.note_name("org/a", "main", COMMIT)
    ident = ended(store, "org/a", COMMIT, CLEARED)
    store.note_name("org/a", "main", OTHER)
    store.queue("org/a", OTHER, POLICY, "alice")
    old = store.last_cleared("org/a", "main", POLICY)
    assert old is not None
    assert old.id == ident
    assert store.last_cleared("org/a", "v2", POLICY) is None
    assert store.refs("org/a", POLICY) == []


def test_an_exception_has_the_rejected_judged_again_and_its_end_the_cleared(store: Store) -> None:
    rejected = Judged("rejected", "suspicious", "no", None, "key", findings=[FINDING])
    ident = ended(store, "org/a", COMMIT, rejected)
    untouched = ended(store, "org/b", COMMIT, Judged("rejected", "suspicious", "no", None, "other"))
    store.accept("SL502", SHA, "read by me", "2999-01-01", "alice")
    assert store.by_id(ident).state == "queued"  # type: ignore[union-attr]
    assert store.by_id(untouched).state == "rejected"  # type: ignore[union-attr]
    assert store.known("key") is None
    store.start(POLICY)
    accepted = [(*FINDING[:5], True)]
    store.end(ident, Judged(**{**CLEARED.__dict__, "findings": accepted}))
    assert store.by_revision("org/a", "d" * 40, POLICY) is not None
    (exception,) = store.exceptions()
    store.expire(exception["id"], "alice")
    store.expire(exception["id"], "alice")
    assert store.by_revision("org/a", "d" * 40, POLICY) is None
    assert store.exceptions() == []
    assert [row["act"] for row in store.audit()].count("expire") == 1


def test_a_search_finds_parts_of_names_and_goes_on_where_it_was(store: Store) -> None:
    for number in range(150):
        store.queue(f"org/model-{number}_100%", COMMIT, POLICY, "alice")
    page = store.search("ORG/model", "queued", None)
    assert len(page) == 100
    rest = store.search("ORG/model", "queued", page[-1].id)
    assert len(rest) == 50
    assert [model.repo for model in store.search("-7_100%", "", None)] == ["org/model-7_100%"]
    assert store.search("", "running", None) == []
    assert store.search("' or 1=1 --", "", None) == []


def test_no_question_of_a_client_goes_through_all_models(store: Store) -> None:
    store.queue("org/a", COMMIT, POLICY, "alice")
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    store.name("org/a", "main")
    store.model("org/a", COMMIT, POLICY)
    store.by_revision("org/a", COMMIT, POLICY)
    store.last_cleared("org/a", "main", POLICY)
    store.refs("org/a", POLICY)
    store.file(CONTENT, "config.json")
    store.files(CONTENT)
    store.known("key")
    store.before(1)
    store.waiting()
    store.waiting("alice")
    store.start(POLICY)
    store._db.set_trace_callback(None)
    questions = [text for text in asked if text.startswith(("select", "with"))]
    assert len(questions) == 14
    for text in questions:
        plan = [row["detail"] for row in store._db.execute(f"explain query plan {text}")]
        assert not [step for step in plan if "SCAN" in step and step != "SCAN askers"], (text, plan)


def test_the_next_of_a_long_queue_is_found_without_sorting_it_in_files_of_format_1_too(
    tmp_path: Path,
) -> None:
    path = tmp_path / "old.sqlite"
    with Store(path) as store:
        store.queue("org/a", COMMIT, POLICY, "alice")
        store._db.executescript(
            "drop index models_to_judge; alter table models drop column owner; "
            "drop table secrets; pragma user_version=1;"
        )
    with Store(path) as store:
        asked: list[str] = []
        store._db.set_trace_callback(asked.append)
        started = store.start(POLICY)
        store._db.set_trace_callback(None)
        assert started is not None
        (text,) = (each for each in asked if each.startswith("select id"))
        plan = [row["detail"] for row in store._db.execute(f"explain query plan {text}")]
        assert len(plan) == 1
        assert "models_to_judge" in plan[0]


def test_a_full_disk_leaves_all_of_a_step_or_nothing(store: Store) -> None:
    ident = ended(store, "org/a", COMMIT, Judged("rejected", "suspicious", "no", None, "key"))
    pages = store._db.execute("pragma page_count").fetchone()[0]
    store._db.execute(f"pragma max_page_count={pages}")
    many = [File(f"{number}.json", 1, SHA) for number in range(20_000)]
    with pytest.raises(RecordsError):
        store.end(ident, Judged("cleared", "clean", "", None, None, CONTENT, "d" * 40, many))
    assert store.by_id(ident).state == "rejected"  # type: ignore[union-attr]
    assert store.files(CONTENT) == []
    store._db.execute("pragma max_page_count=1000000")
    store.log("alice", "try", "again")


_KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from safe_load.gateway.records import File, Judged
from safe_load.gateway.store import Store
store = Store(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(10**6):
    commit, content = f"{number:040x}", f"{number:064x}"
    store.queue("org/a", commit, "p" * 64, "alice")
    model = store.start("p" * 64)
    files = [File(f"{each}.json", 1, "5" * 64) for each in range(5)]
    store.end(model.id, Judged("cleared", "clean", "", None, commit, content, commit, files))
"""


@pytest.mark.parametrize("seconds", [0.01, 0.05, 0.12])
def test_killed_at_any_moment_it_knows_every_file_of_what_is_cleared(
    tmp_path: Path, seconds: float
) -> None:
    path = tmp_path / "gateway.sqlite"
    root = str(Path(__file__).parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(path), root], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()
    with Store(path) as store:
        store.begin(POLICY)
        models = store._db.execute("select * from models").fetchall()
        assert [row["id"] for row in models] == list(range(1, len(models) + 1))
        for row in models:
            assert row["state"] in ("queued", "cleared")
            assert len(store.files(row["content"] or "")) == (5 if row["state"] == "cleared" else 0)


def test_what_was_judged_with_an_exception_that_ended_is_not_cleared(store: Store) -> None:
    rejected = Judged("rejected", "suspicious", "no", None, "key", findings=[FINDING])
    ident = ended(store, "org/a", COMMIT, rejected)
    store.accept("SL502", SHA, "read by me", "2999-01-01", "alice")
    assert store.start(POLICY) is not None
    (exception,) = store.exceptions()
    store.expire(exception["id"], "alice")  # while it is being judged with it
    accepted = Judged(**{**CLEARED.__dict__, "findings": [(*FINDING[:5], True)]})
    assert not store.end(ident, accepted)
    assert store.by_id(ident).state == "queued"  # type: ignore[union-attr]
    assert store.by_revision("org/a", "d" * 40, POLICY) is None
    assert store.known("key") is None


def test_an_exception_whose_day_has_passed_clears_nothing(store: Store) -> None:
    rejected = Judged("rejected", "suspicious", "no", None, "key", findings=[FINDING])
    ident = ended(store, "org/a", COMMIT, rejected)
    store.accept("SL502", SHA, "read by me", "2020-01-01", "alice")
    store.accept("SL502", SHA, "read again", "2999-01-01", "alice")
    assert store.start(POLICY) is not None
    newest, _ = store.exceptions()
    store.expire(newest["id"], "alice")  # while it is being judged with it
    accepted = Judged(**{**CLEARED.__dict__, "findings": [(*FINDING[:5], True)]})
    assert not store.end(ident, accepted)
    assert store.by_revision("org/a", "d" * 40, POLICY) is None


def test_bytes_that_are_rejected_now_are_served_under_no_other_name(store: Store) -> None:
    first = ended(store, "org/a", COMMIT, CLEARED)
    like = Judged(**{**CLEARED.__dict__, "key": None, "files": (), "cleared_as": "e" * 40})
    second = ended(store, "org/b", COMMIT, like)
    other = Judged(**{**CLEARED.__dict__, "key": "another", "content": "f" * 64})
    third = ended(store, "org/c", COMMIT, other)
    store.again(first, "alice")
    assert store.start(POLICY) is not None
    assert store.by_id(second).state == "cleared"  # type: ignore[union-attr]
    store.end(first, Judged("rejected", "malicious", "it runs a program", None, "key"))
    states = [store.by_id(each).state for each in (first, second, third)]  # type: ignore[union-attr]
    assert states == ["rejected", "queued", "cleared"]


def test_who_asks_for_one_model_does_not_wait_for_all_of_another(store: Store) -> None:
    for number in range(4):
        store.queue(f"org/{number}", COMMIT, POLICY, "anonymous")
    store.queue("org/mine", COMMIT, POLICY, "bob")
    store.queue("org/other", COMMIT, POLICY, "bob")
    started = [store.start(POLICY) for _ in range(6)]
    assert [model and model.repo for model in started] == [
        "org/0", "org/mine", "org/1", "org/other", "org/2", "org/3",
    ]  # fmt: skip
    for model in started[:2]:
        assert model is not None
        store.requeue(model.id)
    store.queue("org/new", COMMIT, POLICY, "bob")
    following = store.start(POLICY)
    assert following is not None
    assert following.repo == "org/new"  # and not what was tried already
