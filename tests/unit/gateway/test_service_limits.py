"""What the gateway does when a hub, a disk, a store or a queue has no more to give."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from safe_load.gateway.kept import Kept
from safe_load.gateway.records import File
from safe_load.gateway.service import Found, Refusal

from tests.unit.gateway.answering import Gateway, commit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = pytest.mark.anyone


def test_names_that_are_not_there_are_asked_once_for_many_clients(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        told = await asyncio.gather(*(gateway.get("org/none") for _ in range(500)))
        assert {(each.status, each.code) for each in told if isinstance(each, Refusal)} == {
            (404, "RepoNotFound")
        }
        assert gateway.asked == 1
        assert gateway.store.search("", "", None) == []

    run(what)


def test_a_full_queue_is_told_and_takes_no_more(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.judges.hold.clear()
        for number in range(6):
            gateway.hub[f"org/{number}", "main"] = commit(number)
            last = await gateway.get(f"org/{number}")
        assert isinstance(last, Refusal)
        assert (last.status, last.again) == (429, 60)
        assert "queue is full" in last.sentence
        assert gateway.store.counts()["queued"] == 3
        gateway.judges.hold.set()

    run(what, "[limits]\nwait = 0\nqueue = 3\n")


def test_nothing_is_opened_while_the_disk_is_full(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.service.queue._settings = replace(gateway.settings, free=1 << 60)
        gateway.hub["org/a", "main"] = commit(1)
        gateway.service.queue.wake()
        told = await gateway.get("org/a")
        assert isinstance(told, Refusal)
        assert told.status == 429
        told = await gateway.get("org/a")
        assert isinstance(told, Refusal)
        assert "disk is full" in told.sentence
        assert gateway.judges.opened == []

    run(what, "[limits]\nwait = 0.6\n")


def test_what_made_room_is_cleared_again_under_the_same_revision(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.hub |= {("org/a", "main"): commit(1), ("org/b", "main"): commit(2)}
        first = await gateway.get("org/a")
        gateway.judges.text = b'{"other": 1}'
        assert isinstance(await gateway.get("org/b"), Found)
        assert isinstance(first, Found)
        assert gateway.service.content.gone(first.content)
        assert gateway.store.by_id(first.model.id).verdict == "clean"  # type: ignore[union-attr]
        gateway.judges.text = b"{}"
        gateway.judges.created = "later"
        for revision in (first.revision, "main", commit(1)):
            found = await gateway.get("org/a", revision)
            assert isinstance(found, Found)
            assert found.revision == first.revision
        assert gateway.judges.opened == [
            f"org/a@{commit(1)}", f"org/b@{commit(2)}", f"org/a@{commit(1)}",
        ]  # fmt: skip
        assert gateway.asked == 2

    run(what, "[limits]\nwait = 5\nkept = '1'\n")


def test_a_file_that_the_store_gives_slowly_or_not_is_told(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.hub["org/a", "main"] = commit(1)
        found = await gateway.get("org/a")
        assert isinstance(found, Found)
        file = gateway.store.file(found.content, "config.json")
        assert file is not None
        content = gateway.service.content
        content.kept = Kept()  # as on a gateway that has served nothing yet
        held = threading.Event()
        fetch = content.fetch

        def slow(file: File) -> None:
            held.wait(20)
            fetch(file)

        monkeypatch.setattr(content, "fetch", slow)
        for _ in range(2):
            with pytest.raises(Refusal) as told:
                await gateway.service.bring(file)
            assert (told.value.status, told.value.again) == (429, 5)
        held.set()
        await asyncio.gather(*gateway.service._bringing.values())
        await gateway.service.bring(file)
        with content.open(found.content, file) as opened:
            assert opened.read() == b"{}"
        monkeypatch.setattr(content, "fetch", fetch)
        missing = File("model.safetensors", 1, "e" * 64)
        with pytest.raises(Refusal, match="store does not give") as told:
            await gateway.service.bring(missing)
        assert told.value.status == 503

    run(what, 'content = "memory://gateway"\n[limits]\nwait = 0.3\n')


USERS = "".join(
    f'[[users]]\nname = "{name}"\ntoken-sha256 = "{digit * 64}"\n' for name, digit in (("alice", "1"), ("bob", "2"))
)  # fmt: skip


def test_nobody_fills_the_queue_for_the_users(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.judges.hold.clear()
        gateway.hub |= {(f"org/{number}", "main"): commit(number) for number in range(40)}
        taken = dict.fromkeys(("anonymous", "alice", "bob"), 0)
        for number in range(40):
            user = (None, *gateway.settings.users)[number // 14]
            with pytest.raises(Refusal) as told:
                await gateway.service.find(user, f"org/{number}", "main")
            if "queue is full" not in told.value.sentence:
                taken[user.name if user else "anonymous"] += 1
        # Two are being judged. Of the eight places, each may have as many as are free.
        assert taken == {"anonymous": 6, "alice": 2, "bob": 1}
        gateway.judges.hold.set()

    run(what, f"[limits]\nwait = 0\nqueue = 8\n{USERS}")


def test_what_was_fetched_of_a_model_makes_room_on_a_full_disk(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.hub["org/a", "main"] = commit(1)
        left = gateway.settings.data / "jobs" / "7" / "hub"
        left.mkdir(parents=True)
        gateway.service.queue._settings = replace(gateway.settings, free=1 << 60)
        gateway.service.queue.wake()
        await gateway.get("org/a")
        deadline = time.monotonic() + 5
        while left.exists():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    run(what, "[limits]\nwait = 0\n")


def test_a_model_that_could_not_be_kept_leaves_nothing_on_the_disk(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def what(gateway: Gateway) -> None:
        def full(_: Path) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(gateway.service.content, "publish", full)
        gateway.hub["org/a", "main"] = commit(1)
        told = await gateway.get("org/a")
        assert isinstance(told, Refusal)
        assert told.status == 503
        deadline = time.monotonic() + 5
        while list((gateway.settings.data / "jobs").iterdir()):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    run(what)
