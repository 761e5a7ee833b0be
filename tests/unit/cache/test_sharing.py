"""Many processes use one cache at once, and make room in it."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from safe_load.cache.entries import Cache
from safe_load.core.errors import LimitHit
from safe_load.export.verify import verify

from tests.unit.cache.copies import child, clear, command, names, rewrite, weights
from tests.unit.keeping import Loader, make_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from safe_load.core.options import Progress


def test_of_many_processes_one_makes_it_and_the_others_use_it(model: Path) -> None:
    children = [child(model, pause=0.2) for _ in range(8)]
    said = [process.communicate(timeout=60)[0].split() for process in children]
    assert sorted(loads for loads, _ in said) == ["0"] * 7 + ["1"]
    assert len({path for _, path in said}) == 1


def test_of_many_threads_one_makes_it_and_the_others_wait_with_word_of_it(model: Path) -> None:
    loader = Loader(pause=0.2)
    seen: list[tuple[str, str]] = []

    def tell(step: Progress) -> None:
        seen.append((step.stage, step.state))

    threads = [
        threading.Thread(target=clear, args=(model, loader), kwargs={"progress": tell})
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert loader.loads == 1
    assert seen.count(("wait", "start")) == seen.count(("wait", "end")) == 3


def test_waiting_has_an_end(model: Path, cache: Path) -> None:
    with child(model, pause=15) as slow:
        wait_until(lambda: (cache / "locks").exists() and names(cache / "locks"))
        (key,) = names(cache / "locks")
        with (
            pytest.raises(LimitHit, match=r"has been clearing this model for more than 0\.1 s"),
            Cache(cache).making(key, lambda: None, 0.1),
        ):
            pytest.fail("two at once")
        slow.kill()


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_killed_at_any_moment_leaves_nothing_that_is_believed(
    model: Path, cache: Path
) -> None:
    seed = random.randrange(1 << 30)
    moments = random.Random(seed)
    for _ in range(20):
        with child(model, pause=0.02, refresh=True, stay=30) as process:
            time.sleep(moments.uniform(0, 0.25))
            process.send_signal(signal.SIGKILL)
        loader = Loader()
        path = clear(model, loader).path
        assert verify(path).ok, seed
        assert weights(path) == 1
    Cache(cache).prune()
    assert names(cache / "cleared") == names(cache / "locks") == [path.name]
    assert names(cache / "seals") == [f"{path.name}.json"]


def test_what_was_used_longest_ago_goes_first(three: list[Path], cache: Path) -> None:
    kept = Cache(cache)
    assert [entry.path for entry in kept.entries()] == three[::-1]
    size = kept.entries()[0].seal.bytes
    assert [entry.path for entry in kept.prune(max_bytes=int(2.5 * size))] == three[:1]
    assert [entry.path for entry in kept.prune(older_than=1500)] == three[1:2]
    assert kept.prune(max_bytes=size, older_than=5000) == []
    assert names(cache / "cleared") == names(cache / "locks") == [three[2].name]


def test_using_an_entry_makes_it_the_one_used_last(
    three: list[Path], tmp_path: Path, cache: Path, loader: Loader
) -> None:
    assert clear(tmp_path / "m0", loader).path == three[0]
    assert Cache(cache).entries()[0].path == three[0]
    assert loader.loads == 0


def test_what_is_in_use_stays(
    three: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with child(tmp_path / "m0", stay=30) as user:
        assert user.stdout is not None
        user.stdout.readline()
        _, said = command("list", "--format", "json", capsys=capsys)
        assert [entry["in_use"] for entry in json.loads(said)] == [True, False, False]
        assert command("prune", "--max-size", "0", capsys=capsys)[0] == 0
        assert [path.exists() for path in three] == [True, False, False]
        rewrite(three[0])
        told = command("verify", "--remove", capsys=capsys)[1]
        assert "in use" in " ".join(told.split())
        assert three[0].exists()
        user.kill()
    command("prune", "--max-size", "0", capsys=capsys)
    assert not three[0].exists()


def test_the_cache_keeps_itself_within_its_bound(
    three: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: Loader
) -> None:
    size = sum(file.stat().st_size for file in three[0].iterdir())
    monkeypatch.setenv("SAFE_LOAD_CACHE_SIZE", str(int(2.5 * size)))
    new = clear(make_model(tmp_path / "new", 9), loader).path
    assert [path.exists() for path in (*three, new)] == [False, False, True, True]


def test_what_is_larger_than_the_bound_can_be_used_all_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch, loader: Loader
) -> None:
    monkeypatch.setenv("SAFE_LOAD_CACHE_SIZE", "1")
    assert weights(clear(model, loader).path) == 1


def test_removing_and_using_at_once_never_gives_half_an_entry(model: Path, cache: Path) -> None:
    stop = threading.Event()

    def remove_again_and_again() -> None:
        kept = Cache(cache)
        while not stop.is_set():
            for key in names(cache / "cleared"):
                if not key.startswith("."):
                    with kept.making(key, lambda: None, 30):
                        kept.remove(key)

    thread = threading.Thread(target=remove_again_and_again)
    thread.start()
    try:
        loader = Loader()
        while loader.loads < 20:
            clear(model, loader)
    finally:
        stop.set()
        thread.join()
