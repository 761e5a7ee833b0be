"""A gateway's service with judges and a hub that do as each test says."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3
from safe_load.core.report import Digests, Source, Tool
from safe_load.export import manifest
from safe_load.export.publish import REPORT
from safe_load.fleet import objects
from safe_load.gateway.app import store_of
from safe_load.gateway.content import LocalContent, SharedContent
from safe_load.gateway.judging import Said
from safe_load.gateway.resolving import Unresolved
from safe_load.gateway.service import Found, Refusal, Service
from safe_load.gateway.settings import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from safe_load.gateway.content import ContentStore
    from safe_load.gateway.judging import Order
    from safe_load.gateway.workers import Ask, Tell


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
