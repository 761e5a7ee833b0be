"""What a name is answered with, with judges and a hub that do as each test says."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from blake3 import blake3
from safe_load.advisories import store as advisories
from safe_load.core.report import Digests, Source, Tool
from safe_load.export import manifest
from safe_load.export.publish import REPORT
from safe_load.fleet import objects
from safe_load.gateway import service as module
from safe_load.gateway.app import store_of
from safe_load.gateway.content import LocalContent, SharedContent
from safe_load.gateway.judging import Said
from safe_load.gateway.kept import Kept
from safe_load.gateway.records import File
from safe_load.gateway.resolving import Unresolved
from safe_load.gateway.service import Found, Refusal, Service
from safe_load.gateway.settings import read

from tests.unit.advisories.test_advisories import signed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from safe_load.gateway.content import ContentStore
    from safe_load.gateway.judging import Order
    from safe_load.gateway.workers import Ask, Tell

pytestmark = pytest.mark.anyone

POLICY = "p" * 64


def commit(number: int) -> str:
    return f"{number:040x}"


def export(folder: Path, text: bytes, created: str = "now", sources: Sequence[str] = ()) -> Path:
    """A folder with a manifest, as a load leaves it."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(text)
    said = msgspec.json.encode({"made": created})
    (folder / REPORT).write_bytes(said)
    entries = [
        manifest.FileEntry(
            name,
            len(data),
            Digests(blake3=blake3(data).hexdigest(), sha256=hashlib.sha256(data).hexdigest()),
        )
        for name, data in (("config.json", text), (REPORT, said))
    ]
    made = manifest.Manifest(
        tool=Tool("safe-load", "0"), policy="strict", source=Source("x"),
        sources=[manifest.SourceEntry(f"{number}.bin", 1, each) for number, each in enumerate(sources)], files=entries, created=created
    )  # fmt: skip
    (folder / manifest.NAME).write_bytes(manifest.encode(made))
    return folder


class Judges:
    """Judges as `outcomes` say, one after another; then clears. What was opened is counted."""

    size = 2

    def __init__(self, tmp_path: Path) -> None:
        self.outcomes: list[Said] = []
        self.opened: list[str] = []
        self.bytes: Callable[[Order], str] = lambda order: order.commit
        self.text, self.created = b"{}", "now"
        self.sources: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self._folder = tmp_path / "made"

    async def judge(self, order: Order, ask: Ask, tell: Tell) -> Said:
        tell("fetch")
        if not await ask(self.bytes(order)):
            return Said(outcome="known", fetched=True)
        self.opened.append(f"{order.repo}@{order.commit}")
        await self.hold.wait()
        if self.outcomes:
            return self.outcomes.pop(0)
        target = export(self._folder / str(len(self.opened)), self.text, self.created, self.sources)
        return Said(outcome="ok", fetched=True, verdict="clean", target=str(target))

    async def close(self) -> None:
        return


class Gateway:
    """A service over these judges, and a hub that is a dictionary."""

    def __init__(self, tmp_path: Path, text: str = "") -> None:
        file = tmp_path / "gateway.toml"
        file.write_text(text)
        chosen = read(file, {"upstream": "https://hub.example", "data": str(tmp_path / "data")})
        self.settings = replace(chosen, free=0)
        self.settings.data.mkdir(exist_ok=True)
        self.judges = Judges(tmp_path)
        self.hub: dict[tuple[str, str], str | Unresolved] = {}
        self.asked = 0
        self.store = store_of(self.settings)
        content: ContentStore = LocalContent(self.settings.data, self.settings.kept)
        if self.settings.content is not None:
            content = SharedContent(
                self.settings.data, objects.of(self.settings.content), self.settings.kept
            )
        self.service = Service(self.settings, self.store, content, self.judges, POLICY)
        self.service.queue.run()

    async def resolve(self, repo: str, revision: str, **_: object) -> str:
        self.asked += 1
        found = self.hub.get((repo, revision), Unresolved("no-repository", "not there"))
        if isinstance(found, Unresolved):
            raise found
        return found

    async def get(self, repo: str, revision: str = "main") -> Found | Refusal:
        try:
            return await self.service.find(None, repo, revision)
        except Refusal as refusal:
            return refusal


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`run(what, text)`: what a coroutine does with a gateway of that configuration."""

    def go(what: Callable[[Gateway], Awaitable[None]], text: str = "[limits]\nwait = 5\n") -> None:
        async def main() -> None:
            gateway = Gateway(tmp_path, text)
            monkeypatch.setattr(module, "commit_of", gateway.resolve)
            try:
                await what(gateway)
            finally:
                await gateway.service.close()
                gateway.store.__exit__()

        asyncio.run(asyncio.wait_for(main(), 30))

    return go


def test_a_model_is_cleared_while_whoever_asked_waits(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.hub["org/a", "main"] = commit(1)
        found = await gateway.get("org/a")
        assert isinstance(found, Found)
        assert found.revision != commit(1)
        assert len(found.revision) == 40
        listed = gateway.store.file(found.content, "config.json")
        assert listed is not None
        with gateway.service.content.open(found.content, listed) as file:
            assert file.read() == b"{}"
        assert await gateway.get("org/a", found.revision) == found
        assert await gateway.get("org/a", commit(1)) == found
        assert gateway.asked == 1

    run(what)


def test_who_does_not_wait_is_told_to_come_again_and_why(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.judges.hold.clear()
        gateway.hub["org/a", "main"] = commit(1)
        told = await gateway.get("org/a")
        assert isinstance(told, Refusal)
        assert (told.status, told.code) == (429, "")
        assert told.again
        assert "is being judged (fetch)" in told.sentence
        gateway.judges.hold.set()

    run(what, "[limits]\nwait = 0.6\n")


def test_the_same_bytes_are_opened_once_whatever_they_are_called(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.judges.bytes = lambda _: "same"
        for number in range(6):
            gateway.hub[f"org/{number}", "main"] = commit(number)
        found = await asyncio.gather(*(gateway.get(f"org/{number}") for number in range(6)))
        assert all(isinstance(each, Found) for each in found)
        assert len(gateway.judges.opened) == 1
        assert len({each.revision for each in found if isinstance(each, Found)}) == 6
        assert len({each.content for each in found if isinstance(each, Found)}) == 1

    run(what)


def test_a_verdict_that_hangs_on_the_name_is_for_no_other_name(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.judges.bytes = lambda _: "same"
        gateway.judges.outcomes = [
            Said(
                outcome="rejected",
                fetched=True,
                verdict="suspicious",
                sentence="SL701",
                about_name=True,
            )
        ]
        gateway.hub |= {("org/a", "main"): commit(1), ("org/b", "main"): commit(2)}
        told = await gateway.get("org/a")
        assert isinstance(told, Refusal)
        assert told.status == 403
        assert isinstance(await gateway.get("org/b"), Found)

    run(what)


def test_only_a_broken_sandbox_is_tried_again_and_never_a_verdict(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        broken = Said(outcome="sandbox_error", sentence="no namespaces")
        gateway.hub |= {
            ("org/a", "main"): commit(1),
            ("org/b", "main"): commit(2),
            ("org/c", "main"): commit(3),
            ("org/d", "main"): commit(4),
        }
        gateway.judges.outcomes = [broken, broken]
        assert isinstance(await gateway.get("org/a"), Found)
        assert len(gateway.judges.opened) == 3
        gateway.judges.outcomes = [broken] * 3
        told = await gateway.get("org/b")
        assert isinstance(told, Refusal)
        assert (told.status, told.sentence[-13:]) == (503, "no namespaces")
        assert told.again
        assert len(gateway.judges.opened) == 6
        gateway.judges.outcomes = [
            Said(
                outcome="rejected", fetched=True, verdict="malicious", sentence="it runs a program"
            )
        ]
        for _ in range(2):
            told = await gateway.get("org/c")
            assert isinstance(told, Refusal)
            assert (told.status, told.code) == (
                403,
                "GatedRepo",
            )
            assert "it runs a program" in told.sentence
        gateway.judges.outcomes = [Said(outcome="limit_hit", fetched=True, sentence="time limit")]
        for _ in range(2):
            told = await gateway.get("org/d")
            assert isinstance(told, Refusal)
            assert told.status == 403
            assert told.again is None
        assert len(gateway.judges.opened) == 8

    run(what)


def test_what_is_not_what_its_manifest_says_is_never_served(
    run: Callable[..., None], tmp_path: Path
) -> None:
    async def what(gateway: Gateway) -> None:
        folder = export(tmp_path / "changed", b"{}")
        (folder / "config.json").write_bytes(b'{"auto_map": 1}')
        gateway.judges.outcomes = [
            Said(outcome="ok", fetched=True, verdict="clean", target=str(folder))
        ]
        gateway.hub["org/a", "main"] = commit(1)
        told = await gateway.get("org/a")
        assert isinstance(told, Refusal)
        assert told.status == 503
        assert "is not what its manifest says" in told.sentence
        assert not list((gateway.settings.data / "content").glob("*/*"))

    run(what)


def test_a_name_that_moved_serves_the_last_cleared_commit_and_says_so(
    run: Callable[..., None],
) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.hub["org/a", "main"] = commit(1)
        first = await gateway.get("org/a")
        assert isinstance(first, Found)
        assert first.warning is None
        gateway.judges.hold.clear()
        gateway.hub["org/a", "main"] = commit(2)
        await asyncio.sleep(0.06)
        second = await gateway.get("org/a")
        assert isinstance(second, Found)
        assert second.pending
        assert second.revision == first.revision
        assert commit(2) in str(second.warning)
        gateway.judges.outcomes = [
            Said(outcome="rejected", fetched=True, verdict="malicious", sentence="evil")
        ]
        gateway.judges.hold.set()
        deadline = time.monotonic() + 5
        while gateway.store.counts()["rejected"] == 0:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        told = await gateway.get("org/a")
        assert isinstance(told, Refusal)
        assert told.status == 403
        assert isinstance(await gateway.get("org/a", first.revision), Found)

    run(what, 'names-for = "0.05"\n')


def test_a_hub_that_is_down_leaves_what_was_known(run: Callable[..., None]) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.hub["org/a", "main"] = commit(1)
        assert isinstance(await gateway.get("org/a"), Found)
        down = Unresolved("down", "no route")
        gateway.hub |= {("org/a", "main"): down, ("org/b", "main"): down}
        await asyncio.sleep(0.06)
        found = await gateway.get("org/a")
        assert isinstance(found, Found)
        assert "does not answer" in str(found.warning)
        asked = gateway.asked
        assert isinstance(await gateway.get("org/a"), Found)
        assert gateway.asked == asked
        told = await gateway.get("org/b")
        assert isinstance(told, Refusal)
        assert told.status == 503
        assert told.again

    run(what, 'names-for = "0.05"\n')


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


def test_the_same_bytes_are_opened_again_for_those_who_may_not_read_the_first_name(
    run: Callable[..., None],
) -> None:
    async def what(gateway: Gateway) -> None:
        gateway.judges.bytes = lambda _: "same"
        names = ("acme/a", "org/b", "acme/c", "org/d")
        gateway.hub |= {(name, "main"): commit(number) for number, name in enumerate(names)}
        alice = gateway.settings.users[0]
        for number, name in enumerate(names):
            gateway.judges.text = b'{"source": %d}' % number  # as a manifest names what was opened
            found = await gateway.service.find(alice, name, "main")
            assert found.model.content
        first, second, third, fourth = (
            gateway.store.model(name, commit(number), POLICY) for number, name in enumerate(names)
        )
        assert first is not None
        assert second is not None
        assert third is not None
        assert fourth is not None
        assert first.content == third.content != second.content == fourth.content
        assert first.report == third.report
        assert len(gateway.judges.opened) == 2

    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    user = f'[[users]]\nname = "alice"\ntoken-sha256 = "{digest}"\n'
    run(what, f'{user}[[models]]\nmatch = "acme/**"\nusers = ["alice"]\n')


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


def test_a_list_that_is_imported_ends_the_serving_of_what_it_names(
    run: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFE_LOAD_HOME", str(tmp_path / "home"))

    async def what(gateway: Gateway) -> None:
        names = ("org/bytes", "evil/model", "org/good")
        gateway.hub |= {(name, "main"): commit(number) for number, name in enumerate(names)}
        for number, name in enumerate(names):
            gateway.judges.sources = ["b" * 64 if number == 0 else "a" * 64]
            gateway.judges.text = b'{"number": %d}' % number
            assert isinstance(await gateway.get(name), Found)
        advisories.add_list(*signed(tmp_path / "bad.json"))
        for name, reason in (("org/bytes", "steals keys"), ("evil/model", "a copy that lies")):
            told = await gateway.get(name)
            assert isinstance(told, Refusal)
            assert (told.status, told.code) == (403, "GatedRepo")
            assert reason in told.sentence
        assert isinstance(await gateway.get("org/good"), Found)
        assert len(gateway.judges.opened) == 3
        assert advisories.remove("models:acme")
        assert isinstance(await gateway.get("org/bytes"), Found)

    run(what)
