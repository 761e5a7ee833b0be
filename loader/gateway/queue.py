"""The models that wait, and what becomes of each. Zone: controller."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.core.atomic_files import remove_tree
from safe_load.core.errors import SafeLoadError, sentence
from safe_load.core.escape import visible
from safe_load.core.units import format_size
from safe_load.export import manifest
from safe_load.export.publish import REPORT
from safe_load.gateway.content import free
from safe_load.gateway.judging import Order, Said
from safe_load.gateway.records import Judged, RecordsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.gateway.content import ContentStore
    from safe_load.gateway.records import File, Model
    from safe_load.gateway.settings import Settings
    from safe_load.gateway.store import Store
    from safe_load.gateway.workers import Judges, Tell

_LOG = logging.getLogger("safe_load.gateway")
#: Seconds until a download that failed, or a model whose sandbox broke again and again, may be tried again by itself.
_AGAIN = 60.0
_AGAIN_BROKEN = 600.0
#: Seconds between two looks at a disk that was full.
_LOOK = 5.0
#: Seconds between two looks at what other gateways do.
_LOOK_AROUND = 0.5
#: Files of a cleared folder that are others each time.
_DATED = (manifest.NAME, REPORT)
_MAX_REPORT = 64 << 20
_LONGEST = 600


class Queue:
    """Has models judged, one after another for each of the judges' places. `run` does it; `judged` waits for one."""

    def __init__(
        self, settings: Settings, store: Store, content: ContentStore, judges: Judges, policy: str
    ) -> None:
        self._settings = settings
        self._store = store
        self._content = content
        self._judges = judges
        self._policy = policy
        self._woken = asyncio.Event()
        self._done: dict[int, asyncio.Event] = {}
        self._same: dict[str, asyncio.Lock] = {}
        self._took: deque[float] = deque(maxlen=50)
        self._tasks: list[asyncio.Task[None]] = []
        #: The folders of models that are being judged.
        self._judging: set[str] = set()
        #: Models whose end could not be written down.
        self._lost: list[int] = []
        self.stopped = ""
        """Why nothing is judged at present, "" while something may be."""

    def run(self) -> None:
        """Begin, with what an earlier gateway left."""
        self._store.begin(self._policy)
        self._tasks = [
            asyncio.get_running_loop().create_task(self._serve()) for _ in range(self._judges.size)
        ]
        if self._store.shared:
            self._tasks.append(asyncio.get_running_loop().create_task(self._look_around()))

    async def close(self) -> None:
        """End. What was being judged is judged again by the next gateway."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._judges.close()

    def wake(self) -> None:
        """Something was queued."""
        self._woken.set()

    def again(self, ident: int, who: str) -> None:
        """Have a model judged again."""
        self._store.again(ident, who)
        self.wake()

    async def judged(self, ident: int) -> None:
        """Wait until that model is judged, or has failed."""
        await self._done.setdefault(ident, asyncio.Event()).wait()

    def seconds(self, model: Model) -> int:
        """When it is worth asking for a model again."""
        each = sum(self._took) / len(self._took) if self._took else 5.0
        return min(60, max(2, round(each * (1 + self._store.before(model.id) / self._judges.size))))

    def full(self) -> str:
        """Why the disk has no room for a model, "" where it has."""
        room = free(self._settings.data)
        return (
            f"the gateway's disk is full ({format_size(room)} free)"
            if room < self._settings.free
            else ""
        )

    @property
    def durations(self) -> list[float]:
        """Seconds that the last models took."""
        return list(self._took)

    async def _serve(self) -> None:
        while True:
            try:
                self._woken.clear()
                if full := self.full():
                    self.stopped = full
                    await self._make_room()
                    await asyncio.sleep(_LOOK)
                    continue
                self.stopped = ""
                while self._lost:
                    self._store.requeue(self._lost[-1])
                    self._lost.pop()
                model = self._store.start(self._policy)
                if model is None:
                    await self._woken.wait()
                    continue
                await self._one(model)
            except OSError as error:
                self.stopped = "the gateway cannot write its records"  # which everybody may read
                _LOG.error("%s: %s", self.stopped, visible(str(error), 200))
                await asyncio.sleep(_LOOK)

    async def _make_room(self) -> None:
        """Remove what can be fetched again, for nothing is judged without room: the files of models that wait, and what lies
        here of a store."""
        for folder in (self._settings.data / "jobs").glob("*"):
            if folder.name not in self._judging:
                await asyncio.to_thread(remove_tree, folder)
        if (lacking := self._settings.free - free(self._settings.data)) > 0:
            self._content.spare(lacking)

    async def _look_around(self) -> None:
        """What other gateways did: what one that ended was judging, what they queued, what they judged."""
        while True:
            await asyncio.sleep(_LOOK_AROUND)
            with suppress(RecordsError):
                self._store.release()
                for ident in self._store.ended(list(self._done)) if self._done else ():
                    self._done.pop(ident).set()
            self.wake()  # also while the records are away, so that this is told

    async def _one(self, model: Model) -> None:
        began = time.monotonic()
        folder = self._settings.data / "jobs" / str(model.id)
        self._judging.add(folder.name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found: list[str] = []
        locks: list[asyncio.Lock] = []
        held: list[str] = []

        async def ask(key: str) -> bool:
            """Whether the bytes shall be opened: not while the same ones are, and not if they were."""
            # A report and a manifest name the repository that was opened: those who may not read it get no copy.
            stated = f"{self._policy} {self._settings.audience(model.repo)} {key}"
            key = hashlib.sha256(stated.encode()).hexdigest()
            found.append(key)
            lock = self._same.setdefault(key, asyncio.Lock())
            await lock.acquire()
            locks.append(lock)
            while not self._store.hold(key):  # another gateway judges the same bytes
                await asyncio.sleep(_LOOK_AROUND)
            held.append(key)
            known = self._store.known(key)
            return known is None or (
                known.content is not None and self._content.gone(known.content)
            )

        try:
            said = await self._judges.judge(self._order(model, folder), ask, self._tell(model))
            judged = await self._ended(model, said, found[0] if found else None)
            if judged is None:
                self._store.requeue(model.id)
                return
            if not self._store.end(model.id, judged):
                self.wake()
            self._took.append(time.monotonic() - began)
            await asyncio.to_thread(remove_tree, folder)
        except RecordsError:
            self._lost.append(model.id)
            raise
        except (SafeLoadError, OSError) as error:
            # The verdict could not be kept. A later attempt may find the disk in a better state.
            told = visible(
                sentence(error) if isinstance(error, SafeLoadError) else str(error), _LONGEST
            )
            self._store.end(model.id, Judged("failed", "unknown", told, again=time.time() + _AGAIN))
            await asyncio.to_thread(remove_tree, folder)
        finally:
            self._judging.discard(folder.name)
            with suppress(RecordsError):  # where it fails, the connection that held them is gone
                for key in held:
                    self._store.drop(key)
            for lock in locks:
                lock.release()
            for key in found:
                if key in self._same and not self._same[key].locked():
                    del self._same[key]
            if (done := self._done.pop(model.id, None)) is not None:
                done.set()

    def _order(self, model: Model, folder: Path) -> Order:
        today = datetime.now(UTC).date().isoformat()
        accepted = [
            (row["finding"], row["sha256"], row["reason"], row["until"])
            for row in self._store.exceptions()
            if row["until"] >= today
        ]
        token = self._settings.token_for(model.repo)
        return Order(model.repo, model.commit_id, token or None, str(folder), accepted)

    def _tell(self, model: Model) -> Tell:
        told = [""]

        def tell(stage: str) -> None:
            if stage != told[0]:
                told[0] = stage
                with suppress(RecordsError):  # a stage is not worth a failure
                    self._store.note_stage(model.id, stage)

        return tell

    async def _ended(self, model: Model, said: Said, key: str | None) -> Judged | None:
        """What is noted of a model; None: it is to be judged again."""
        told = visible(said.sentence, _LONGEST)
        if (
            said.outcome == "known"
            and key is not None
            and (like := self._like(model, key)) is not None
        ):
            return like
        if said.outcome == "ok" and said.target is not None and key is not None:
            return await self._cleared(model, said, key, told)
        if said.outcome == "rejected":
            report = await asyncio.to_thread(self._report, said.report)
            kept = None if said.about_name else key
            return Judged("rejected", said.verdict, told, report, kept, findings=said.findings)
        if said.outcome in ("not_loadable", "limit_hit") and said.fetched:
            report = await asyncio.to_thread(self._report, said.report)
            return Judged("failed", said.verdict, told, report, findings=said.findings)
        if said.outcome in ("not_loadable", "limit_hit"):
            return Judged("failed", "unknown", told, again=time.time() + _AGAIN)
        if model.attempts < self._settings.limits.attempts:
            _LOG.warning("%s@%s is judged again: %s", model.repo, model.commit_id, told)
            return None
        return Judged("failed", "unknown", told, again=time.time() + _AGAIN_BROKEN)

    async def _cleared(self, model: Model, said: Said, key: str, told: str) -> Judged:
        content, files = await asyncio.to_thread(self._content.publish, Path(str(said.target)))
        report = await asyncio.to_thread(self._report, said.report)
        return Judged(
            "cleared", said.verdict, told, report, key, content, _revision(model, files),
            files, said.findings, until=said.until,
        )  # fmt: skip

    def _like(self, model: Model, key: str) -> Judged | None:
        """The verdict on the same bytes, for a model that has another name."""
        same = self._store.known(key)
        if same is None or same.state not in ("cleared", "rejected"):
            return None
        return Judged(
            same.state, same.verdict or "unknown", same.sentence or "", same.report, None, same.content,
            _revision(model, self._store.files(same.content)) if same.content else None,
            findings=self._store.findings(same.id), until=same.until,
        )  # fmt: skip

    def _report(self, place: str | None) -> str | None:
        """Keep a report that a judge wrote. Returns its name in the folder of reports."""
        if place is None:
            return None
        path = Path(place)
        if path.stat().st_size > _MAX_REPORT:
            return None
        return self._content.keep_report(path)


def _revision(model: Model, files: Sequence[File]) -> str:
    """What a cleared folder is called as a commit: 40 hex digits that no upstream commit has. Manifest and report say
    when the folder was made, and are left out: cleared again, it is the same revision."""
    listed = [(file.path, file.size, file.sha256) for file in files if file.path not in _DATED]
    stated = msgspec.json.encode(
        ["safe-load-gateway", model.repo, model.commit_id, model.policy, sorted(listed)]
    )
    return hashlib.sha256(stated).hexdigest()[:40]
