"""Several gateways share their records in a real PostgreSQL: one of them judges what all are asked for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from safe_load.core.errors import UsageError
from safe_load.gateway import service as module
from safe_load.gateway.postgres import SharedStore
from safe_load.gateway.records import Judged, RecordsError
from safe_load.gateway.service import Found

from tests import postgres
from tests.unit.gateway import test_store as alone
from tests.unit.gateway.test_service import Gateway, commit
from tests.unit.gateway.test_store import CLEARED, COMMIT, FINDING, POLICY, SHA, ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = [pytest.mark.anyone, pytest.mark.xdist_group("postgres")]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """An empty schema of this test."""
    name = f"s{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create schema {name}".encode())
    return f"{server}&options={quote(f'-csearch_path={name},public')}"


@pytest.fixture
def store(url: str) -> Iterator[SharedStore]:
    with SharedStore(url) as store:
        yield store


# What holds for one gateway and its file holds for those that share a database.
test_a_model_is_queued_once = alone.test_a_model_is_queued_once_and_judged_in_the_order_asked
test_only_the_policy_in_force = alone.test_only_the_policy_in_force_is_served_and_judged
test_the_last_cleared_commit = alone.test_the_last_cleared_commit_of_a_name_is_known_after_it_moved
test_an_exception = alone.test_an_exception_has_the_rejected_judged_again_and_its_end_the_cleared
test_a_search = alone.test_a_search_finds_parts_of_names_and_goes_on_where_it_was
test_who_asks_for_one = alone.test_who_asks_for_one_model_does_not_wait_for_all_of_another
test_bytes_that_are_rejected = alone.test_bytes_that_are_rejected_now_are_served_under_no_other_name
test_an_exception_whose_day = alone.test_an_exception_whose_day_has_passed_clears_nothing
test_an_exception_that_ends = alone.test_what_was_judged_with_an_exception_that_ended_is_not_cleared


def test_gateways_that_start_at_once_make_the_tables_once(url: str) -> None:
    text = "import sys; from safe_load.gateway.postgres import SharedStore; print(SharedStore(sys.argv[1]).secret())"
    started = [
        subprocess.Popen([sys.executable, "-c", text, url], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert len(set(said)) == 1


def test_tables_of_the_format_before_are_changed(url: str) -> None:
    with SharedStore(url) as store:
        store.queue("org/a", COMMIT, POLICY, "alice")
        store._execute("update gateway_format set version=3")
        store._execute("drop index models_to_judge")
    with SharedStore(url) as store:
        question = "select indexdef from pg_indexes where indexname='models_to_judge' and schemaname=current_schema()"
        (made,) = store._execute(question).fetchone()
        assert "asked_by" in made
        assert store.start(POLICY) is not None
    with SharedStore(url):
        pass


def test_a_gateway_does_not_end_what_another_has_ended_since(url: str) -> None:
    with SharedStore(url) as first, SharedStore(url) as second:
        first.queue("org/a", COMMIT, POLICY, "alice")
        model = first.start(POLICY)
        assert model is not None
        first._execute("update models set owner=0")  # as when its connection broke
        second.release()
        assert second.start(POLICY) is not None
        assert second.end(
            model.id, Judged("rejected", "malicious", "it runs a program", None, "key")
        )
        assert not first.end(model.id, CLEARED)
        assert second.by_id(model.id).state == "rejected"  # type: ignore[union-attr]


def test_two_gateways_never_judge_the_same_model_and_each_only_its_own_ends(url: str) -> None:
    with SharedStore(url) as first, SharedStore(url) as second:
        for number in range(4):
            first.queue(f"org/{number}", COMMIT, POLICY, "alice")
        taken = [store.start(POLICY) for store in (first, second, second, first, second)]
        assert [model and model.repo for model in taken] == [
            "org/0",
            "org/1",
            "org/2",
            "org/3",
            None,
        ]
        assert second.release() == 0
        assert taken[0] is not None
        assert not second.end(taken[0].id, CLEARED)
        second.requeue(taken[0].id)
        assert second.by_id(taken[0].id).state == "running"  # type: ignore[union-attr]
        assert first.end(taken[0].id, CLEARED)
        assert second.by_revision("org/0", "d" * 40, POLICY) is not None


def test_the_same_bytes_are_one_gateways_until_it_leaves_them_or_ends(url: str) -> None:
    with SharedStore(url) as second:
        with SharedStore(url) as first:
            assert first.hold("key")
            assert not second.hold("key")
            first.drop("key")
            assert second.hold("key")
            second.drop("key")
            assert first.hold("key")
        assert any(second.hold("key") or time.sleep(0.05) for _ in range(200))


def test_what_a_model_wrote_is_kept_whatever_it_is(store: SharedStore) -> None:
    told = "null \0, half \ud800, quote ' ? %s"
    found = ("SL502", SHA, "medium", "x\0", "\udc80.py", False)
    ident = ended(store, "org/a", COMMIT, Judged("rejected", "malicious", told, findings=[found]))
    kept = store.by_id(ident)
    assert kept is not None
    assert kept.sentence == "null \\x00, half \\ud800, quote ' ? %s"
    assert store.findings(ident) == [(*FINDING[:3], "x\\x00", "\\udc80.py", False)]


def test_a_connection_that_broke_is_made_again_and_nothing_is_lost(
    store: SharedStore, server: str
) -> None:
    first = store.queue("org/a", COMMIT, POLICY, "alice")
    assert store.start(POLICY) is not None
    with psycopg.connect(server, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name='safe-load'"
        )
    with pytest.raises(RecordsError):
        store.end(first.id, CLEARED)
    assert store.end(first.id, CLEARED)
    assert store.by_id(first.id).state == "cleared"  # type: ignore[union-attr]


def test_what_is_no_database_is_a_wrong_configuration(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="PostgreSQL cannot be used"):
        SharedStore(f"postgresql://gateway@/postgres?host={tmp_path}")


# --- two services


@pytest.fixture
def pair(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Gateway, Gateway], Awaitable[None]]], None]:
    """`pair(what)`: what a coroutine does with two gateways on one database and one store of files."""

    def go(what: Callable[[Gateway, Gateway], Awaitable[None]]) -> None:
        async def main() -> None:
            text = f'records = "{url}"\ncontent = "file://{tmp_path}/store"\n[limits]\nwait = 8\n'
            made = []
            for name in "ab":
                (tmp_path / name).mkdir()
                made.append(Gateway(tmp_path / name, text))
            made[1].hub = made[0].hub
            monkeypatch.setattr(module, "commit_of", made[0].resolve)
            try:
                await what(*made)
            finally:
                for gateway in made:
                    await gateway.service.close()
                    gateway.store.__exit__()

        asyncio.run(asyncio.wait_for(main(), 30))

    return go


def test_a_model_that_both_are_asked_for_is_opened_once_and_served_by_both(
    pair: Callable[..., None],
) -> None:
    async def what(first: Gateway, second: Gateway) -> None:
        first.hub["org/a", "main"] = commit(1)
        found = await asyncio.gather(*(each.get("org/a") for each in (first, second) * 3))
        assert all(isinstance(each, Found) for each in found), found
        assert len({each.revision for each in found if isinstance(each, Found)}) == 1
        assert len(first.judges.opened) + len(second.judges.opened) == 1
        for each in (first, second):
            file = each.store.file(found[0].content, "config.json")  # type: ignore[union-attr]
            assert file is not None
            await each.service.bring(file)
            with each.service.content.open(found[0].content, file) as opened:  # type: ignore[union-attr]
                assert opened.read() == b"{}"

    pair(what)


def test_the_same_bytes_under_two_names_at_two_gateways_are_opened_once(
    pair: Callable[..., None],
) -> None:
    async def what(first: Gateway, second: Gateway) -> None:
        for each in (first, second):
            each.judges.bytes = lambda _: "same"
            each.judges.hold.clear()
        first.hub |= {("org/a", "main"): commit(1), ("org/b", "main"): commit(2)}
        asked = [
            asyncio.create_task(first.get("org/a")), asyncio.create_task(second.get("org/b"))
        ]  # fmt: skip
        while not first.store.counts()["running"] == 2:  # noqa: SIM201
            await asyncio.sleep(0.02)
        for each in (first, second):
            each.judges.hold.set()
        assert all(isinstance(each, Found) for each in await asyncio.gather(*asked))
        assert len(first.judges.opened) + len(second.judges.opened) == 1

    pair(what)


_KILLED = """
import asyncio, sys
from pathlib import Path
from tests.unit.gateway.test_service import Gateway, commit
from safe_load.gateway import service as module

async def main():
    gateway = Gateway(Path(sys.argv[1]), sys.argv[2])
    gateway.judges.hold.clear()
    gateway.hub["org/a", "main"] = commit(1)
    module.commit_of = gateway.resolve
    asked = asyncio.create_task(gateway.get("org/a"))
    while not gateway.judges.opened:
        await asyncio.sleep(0.02)
    print("judges", flush=True)
    await asked

asyncio.run(main())
"""


def test_what_a_killed_gateway_was_judging_another_judges(
    pair: Callable[..., None], tmp_path: Path
) -> None:
    async def what(first: Gateway, second: Gateway) -> None:
        for task in second.service.queue._tasks[: second.judges.size]:
            task.cancel()  # it only answers
        (tmp_path / "c").mkdir()
        text = (tmp_path / "a" / "gateway.toml").read_text()
        await first.service.queue.close()
        with subprocess.Popen(
            [sys.executable, "-c", _KILLED, tmp_path / "c", text], stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == b"judges\n"
            assert first.store.counts()["running"] == 1
            first.store.begin(POLICY)
            assert first.store.counts()["running"] == 1  # somebody lives who judges it
            process.kill()
        first.hub["org/a", "main"] = commit(1)
        first.service.queue.run()
        found = await second.get("org/a")
        assert isinstance(found, Found), found
        assert first.judges.opened == [f"org/a@{commit(1)}"]

    pair(what)


def test_a_database_that_is_away_stops_a_gateway_until_it_is_back(
    pair: Callable[..., None], server: str, tmp_path: Path
) -> None:
    async def what(first: Gateway, second: Gateway) -> None:
        store = first.store
        assert isinstance(store, SharedStore)
        real, store._url = store._url, f"postgresql://gateway@/postgres?host={tmp_path}"
        with psycopg.connect(server, autocommit=True) as other:
            other.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name='safe-load'"
            )
        while not first.service.queue.stopped:
            await asyncio.sleep(0.02)
        assert "cannot write its records" in first.service.queue.stopped
        with suppress(RecordsError):
            second.store.counts()  # it has a new connection from now on
        first.hub["org/a", "main"] = commit(1)
        assert isinstance(await second.get("org/a"), Found)
        store._url, store._again = real, 0.0
        assert isinstance(await first.get("org/a"), Found)

    pair(what)
