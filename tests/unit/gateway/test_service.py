"""What a name is answered with, with judges and a hub that do as each test says."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from safe_load.advisories import store as advisories
from safe_load.gateway.judging import Said
from safe_load.gateway.resolving import Unresolved
from safe_load.gateway.service import Found, Refusal

from tests.unit.advisories.test_advisories import signed
from tests.unit.gateway.answering import POLICY, Gateway, commit, export

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


pytestmark = pytest.mark.anyone


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
