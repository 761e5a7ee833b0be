"""The queue in a folder: each job is done once, and only a broken machine has it done again."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from safe_load.core.errors import UsageError
from safe_load.fleet import folder as module
from safe_load.fleet.folder import ATTEMPTS, FolderQueue, Taker
from safe_load.fleet.jobs import Ended, Job, JobFile
from safe_load.fleet.objects import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK = Ended(outcome="ok", report="5" * 64)
BROKEN = Ended(outcome="sandbox_error", sentence="no namespaces")


def job(number: int) -> Job:
    return Job(files=(JobFile("a.bin", number, "a" * 64),), folder=False, policy="b" * 64)


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def taker(store: Folder) -> Iterator[Callable[[str], Taker]]:
    made: list[Taker] = []

    def make(name: str) -> Taker:
        made.append(Taker(store, name))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ask(store: Folder, number: int) -> tuple[FolderQueue, list[Ended], threading.Thread]:
    """Somebody who waits for a job, and what was answered."""
    queue, answers = FolderQueue(store), list[Ended]()
    thread = threading.Thread(target=lambda: answers.append(queue.run(job(number))))
    thread.start()
    return queue, answers, thread


def taken(taker: Taker) -> module.Token:
    while (found := taker.take()) is None:
        pass
    token, data = found
    assert msgspec.json.decode(data, type=Job).key == token.key
    return token


def record(store: Folder, token: module.Token, ended: Ended) -> None:
    store.record(f"results/{token.key}.json", msgspec.json.encode(ended))


def test_two_who_ask_for_the_same_bytes_have_them_judged_once(
    store: Folder, taker: Callable[[str], Taker]
) -> None:
    asked = [ask(store, 1), ask(store, 1)]
    worker = taker("w")
    token = taken(worker)
    assert worker.take() is None
    record(store, token, OK)
    worker.finish(token, OK)
    for _, answers, thread in asked:
        thread.join(10)
        assert answers == [OK]
    assert worker.take() is None
    assert not list((store.root / "jobs").iterdir())


def test_a_second_token_for_the_same_bytes_is_dropped_while_somebody_has_the_first(
    store: Folder, taker: Callable[[str], Taker]
) -> None:
    queue, _, thread = ask(store, 1)
    worker, other = taker("w"), taker("v")
    token = taken(worker)
    for each in (worker, other):  # whoever asked at the same moment did not see the first token
        (store.root / "queue" / f"{token.key}.0").touch()
        assert each.take() is None
        assert not list((store.root / "queue").iterdir())
    assert [path.name for path in (store.root / "taken").glob("*/*")] == [str(token)]
    worker.give_back(token)
    assert taken(other).key == token.key
    queue.close()
    thread.join(10)


def test_many_takers_take_each_job_once(store: Folder, taker: Callable[[str], Taker]) -> None:
    for number in range(100):
        store.record(f"jobs/{job(number).key}.json", msgspec.json.encode(job(number)))
    workers = [taker(f"w{number}") for number in range(4)]
    for number in range(100):
        (store.root / "queue" / f"{job(number).key}.0").touch()
    found: list[str] = []

    def take(worker: Taker) -> None:
        while (each := worker.take()) is not None:
            found.append(each[0].key)

    threads = [threading.Thread(target=take, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(job(number).key for number in range(100))


def test_a_worker_that_starts_again_puts_back_what_it_had(
    store: Folder, taker: Callable[[str], Taker]
) -> None:
    queue, _, thread = ask(store, 1)
    token = taken(taker("w"))
    with pytest.raises(UsageError, match="another worker called w"):
        taker("w")
    # Killed: its lock went, and nothing else.
    (store.root / "taken" / "w").rename(store.root / "taken" / "v")
    (store.root / "taken" / "w").mkdir()
    again = taken(taker("v"))
    assert (again.key, again.times) == (token.key, 2)
    queue.close()
    thread.join(10)


def test_what_a_dead_worker_had_goes_to_the_others(
    store: Folder, taker: Callable[[str], Taker]
) -> None:
    queue, _, thread = ask(store, 1)
    dead, other = taker("dead"), taker("other")
    token = taken(dead)
    assert other.others()
    assert other.take() is None
    os.utime(store.root / "workers" / "dead", (1, 1))
    assert not other.others()
    assert taken(other).key == token.key
    queue.close()
    thread.join(10)


def test_broken_machines_are_tried_three_times_and_then_it_is_said(
    store: Folder, taker: Callable[[str], Taker]
) -> None:
    _, answers, thread = ask(store, 1)
    worker = taker("w")
    for times in range(1, ATTEMPTS + 1):
        token = taken(worker)
        assert token.times == times
        worker.finish(token, BROKEN)
    thread.join(10)
    assert [each.sentence for each in answers] == ["no namespaces"]
    # Whoever asks later has it tried anew.
    _, answers, thread = ask(store, 1)
    token = taken(worker)
    record(store, token, OK)
    worker.finish(token, OK)
    thread.join(10)
    assert answers == [OK]


def test_one_that_ends_its_workers_is_not_given_out_for_ever(
    store: Folder, taker: Callable[[str], Taker]
) -> None:
    _, answers, thread = ask(store, 1)
    worker = taker("w")
    for _ in range(ATTEMPTS):
        taken(worker)
        worker._put_back(worker._own)  # as it does when it starts again
    assert worker.take() is None
    thread.join(10)
    assert "machines ended" in answers[0].sentence


def test_a_stopped_worker_s_job_is_as_if_it_had_not_been_taken(
    store: Folder, taker: Callable[[str], Taker]
) -> None:
    queue, _, thread = ask(store, 1)
    worker = taker("w")
    worker.give_back(taken(worker))
    assert taken(worker).times == 1
    queue.close()
    thread.join(10)


def test_a_token_that_was_lost_is_made_again(
    store: Folder, taker: Callable[[str], Taker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_THERE", 0.2)
    queue, _, thread = ask(store, 1)
    worker = taker("w")
    token = taken(worker)
    (store.root / "taken" / "w" / str(token)).unlink()
    assert taken(worker).key == token.key
    queue.close()
    thread.join(10)


def test_nobody_waits_for_ever_where_nobody_works(
    store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_THERE", 0.05)
    monkeypatch.setattr(module, "NOBODY", 0.2)
    assert "nobody works on" in FolderQueue(store).run(job(1)).sentence


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-x", "x" * 64, "a\n"])
def test_a_name_that_is_none_is_refused(store: Folder, name: str) -> None:
    with pytest.raises(UsageError):
        Taker(store, name)
