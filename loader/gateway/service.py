"""What a name is answered with: the cleared model, or why there is none yet.

Zone: controller. Runs in one event loop, which is the only one that uses the store. It serves nothing but models whose
state is "cleared" under the policy in force, and waits for nothing without a bound.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from safe_load.core.escape import visible
from safe_load.gateway.bodies import Bodies
from safe_load.gateway.lists import Lists
from safe_load.gateway.queue import Queue
from safe_load.gateway.records import RecordsError
from safe_load.gateway.refusal import Refusal
from safe_load.gateway.resolving import Unresolved, commit_of
from safe_load.gateway.sending import Sending

if TYPE_CHECKING:
    from safe_load.gateway.content import ContentStore
    from safe_load.gateway.records import File, Model
    from safe_load.gateway.settings import Settings, User
    from safe_load.gateway.store import Store
    from safe_load.gateway.workers import Judges

_COMMIT = re.compile("[0-9a-f]{40}")
#: Names that are asked of the hub at a time, and those that wait for that. Where a gateway has users, nobody may have more
#: places than are free, here and in the queue: whoever comes later finds one.
_ASKING, _MOST_ASKED = 4, 200
#: Seconds that the hub's "no" counts, and how many of these are remembered.
_NO, _MOST_NOES = 60.0, 10_000
#: Files that are fetched from the store at a time.
_FETCHES = 8
#: Requests that wait for a model at a time. More are told at once to come again.
_WAITING = 200
#: Seconds between two questions about a name while the hub does not answer.
_DOWN = 30.0
_DISK = "the gateway's disk"


@dataclass(frozen=True)
class Found:
    """A cleared model. warning: what whoever asked should know; pending: whether a newer one is being judged."""

    model: Model
    content: str
    revision: str
    warning: str | None = None
    pending: bool = False


@dataclass
class Counters:
    """What /metrics shows besides the store's own numbers."""

    resolved: int = 0
    unresolved: int = 0
    stale: int = 0
    requests: dict[tuple[str, int], int] = field(default_factory=dict)
    sent: int = 0


class Service:
    """One gateway's answers. judges: who opens models; policy: what they go by."""

    def __init__(
        self, settings: Settings, store: Store, content: ContentStore, judges: Judges, policy: str
    ) -> None:
        self.settings = settings
        self.store = store
        self.content = content
        self.policy = policy
        self.counters = Counters()
        self.bodies, self.sending = Bodies(), Sending()
        self.queue = Queue(settings, store, content, judges, policy)
        self._lists = Lists(store, content, self.bring)
        self._asking = asyncio.Semaphore(_ASKING)
        self._asked: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._askers: Counter[str] = Counter()
        self._bringing: dict[str, asyncio.Task[str]] = {}
        self._fetches = asyncio.Semaphore(_FETCHES)
        self._noes: OrderedDict[tuple[str, str], tuple[float, Unresolved]] = OrderedDict()
        self._waiting = 0

    async def close(self) -> None:
        """End everything that runs."""
        for task in [*self._asked.values(), *self._bringing.values()]:
            task.cancel()
        await self.queue.close()

    def admit(self, user: User | None, repo: str) -> None:
        """Raise Refusal where this user may not have models of that name. Whether there is one is not told."""
        if not self.settings.may_read(user, repo):
            if user is None and self.settings.users:
                raise Refusal(
                    401,
                    "",
                    "this gateway wants a token of its own here: hf auth login, or HF_TOKEN",
                )
            raise Refusal(404, "RepoNotFound", f"there is no {repo} for you on this gateway")
        if not self.settings.rule_of(repo).allow:
            raise Refusal(403, "GatedRepo", f"this gateway's policy does not allow {repo}")

    async def find(self, user: User | None, repo: str, revision: str) -> Found:
        """The cleared model that a name stands for. It is queued where it is not known. Raises Refusal."""
        found = await self._find(user, repo, revision)
        if told := await self._lists.why(found.model):
            name, commit = (
                f"{found.model.repo} at commit {found.model.commit_id[:12]}",
                found.model.commit_id,
            )
            raise Refusal(
                403, "GatedRepo", f"safe-load does not serve {name} any more: {told}", None, commit
            )
        return found

    async def _find(self, user: User | None, repo: str, revision: str) -> Found:
        self.admit(user, repo)
        deadline = time.monotonic() + self.settings.limits.wait
        if _COMMIT.fullmatch(revision) and (
            model := self.store.by_revision(repo, revision, self.policy)
            or self.store.made_again(repo, revision, self.policy)
        ):
            model = await self._wait(self._restored(model), deadline)
            if model.state == "cleared":
                return self._served(model, None)
            raise self._refusal(model)
        commit, doubt = await self._commit(user, repo, revision, deadline)
        model = self.store.model(repo, commit, self.policy)
        if model is None or (
            model.state == "failed" and model.again is not None and model.again <= time.time()
        ):
            model = self._queued(repo, commit, user)
        model = self._restored(model)
        if model.state == "cleared":
            return self._served(model, doubt)
        if model.state in ("queued", "running"):
            old = self.store.last_cleared(repo, revision, self.policy)
            if old is not None and self._restored(old).state == "cleared":
                return self._served(
                    old,
                    f"{revision} moved to commit {commit}, which is being judged: this is the one before",
                    pending=True,
                )
            model = await self._wait(model, deadline)
            if model.state == "cleared":
                return self._served(model, doubt)
        raise self._refusal(model)

    def _restored(self, model: Model) -> Model:
        """The model; queued where its files had to make room for others."""
        if (
            model.state != "cleared"
            or model.content is None
            or not self.content.gone(model.content)
        ):
            return model
        self.queue.again(model.id, "gateway")
        return self._fresh(model)

    async def bring(self, file: File) -> None:
        """Have a file on this machine that is kept elsewhere. Raises Refusal where that takes long."""
        if self.content.here(file):
            return
        task = self._bringing.get(file.sha256)
        if task is None:
            if len(self._bringing) >= _MOST_ASKED:
                raise Refusal(429, "", "the gateway fetches too many files at present", 10)
            task = asyncio.get_running_loop().create_task(self._fetch(file))
            self._bringing[file.sha256] = task
            task.add_done_callback(lambda _: self._bringing.pop(file.sha256, None))
        try:
            failed = await asyncio.wait_for(asyncio.shield(task), self.settings.limits.wait)
        except TimeoutError:
            told = f"safe-load: {file.path} is being fetched from the gateway's store: ask again"
            raise Refusal(429, "", told, 5) from None
        if failed:
            raise Refusal(503, "", f"the gateway's store does not give {file.path}: {failed}", 30)

    async def _fetch(self, file: File) -> str:
        """Why it did not come, "" where it did."""
        async with self._fetches:
            try:
                await asyncio.to_thread(self.content.fetch, file)
            except OSError as error:
                return visible(str(error), 200)
        return ""

    def _served(self, model: Model, warning: str | None, *, pending: bool = False) -> Found:
        today = datetime.now(UTC).date().isoformat()
        if model.until is not None and model.until < today:
            self.queue.again(model.id, "gateway")
            raise self._refusal(self._fresh(model))
        if model.content is None or model.cleared_as is None:
            raise Refusal(500, "", "the gateway's records of this model are broken")
        return Found(model, model.content, model.cleared_as, warning, pending)

    def _queued(self, repo: str, commit: str, user: User | None) -> Model:
        who = _called(user)
        own = self.store.waiting(who) if self.settings.users else 0
        if own >= self.settings.limits.queue - self.store.waiting():
            raise Refusal(429, "", "the gateway's queue is full: try again later", 60)
        model = self.store.queue(repo, commit, self.policy, who)
        self.queue.wake()
        return model

    async def _wait(self, model: Model, deadline: float) -> Model:
        """The model when it is judged, or at the deadline as it is then."""
        if model.state in ("queued", "running") and self._waiting < _WAITING:
            self._waiting += 1
            try:
                with suppress(TimeoutError):
                    await asyncio.wait_for(
                        self.queue.judged(model.id), max(0.0, deadline - time.monotonic())
                    )
            finally:
                self._waiting -= 1
        return self._fresh(model)

    def _fresh(self, model: Model) -> Model:
        return self.store.by_id(model.id) or model

    def _refusal(self, model: Model) -> Refusal:
        name, told = f"{model.repo} at commit {model.commit_id[:12]}", model.sentence or ""
        if model.state in ("queued", "running"):
            doing = f"is being judged ({model.stage or 'start'})" if model.state == "running" else (
                f"waits to be judged, {self.store.before(model.id)} before it"
            )  # fmt: skip
            why = f"; {self.queue.stopped}" if self.queue.stopped else ""
            return Refusal(
                429,
                "",
                f"safe-load: {name} {doing}{why}: ask again",
                self.queue.seconds(model),
                model.commit_id,
            )
        if model.state == "rejected":
            return Refusal(
                403,
                "GatedRepo",
                f"safe-load rejected {name} as {model.verdict}: {told}",
                None,
                model.commit_id,
            )
        if model.again is not None:
            again = max(1, round(model.again - time.time()))
            return Refusal(
                503, "", f"safe-load could not judge {name}: {told}", again, model.commit_id
            )
        return Refusal(
            403, "GatedRepo", f"safe-load did not clear {name}: {told}", None, model.commit_id
        )

    # --- names

    async def _commit(
        self, user: User | None, repo: str, revision: str, deadline: float
    ) -> tuple[str, str | None]:
        """The commit of a name, and a warning where the hub did not confirm it now."""
        known = self.store.name(repo, revision)
        fixed = _COMMIT.fullmatch(revision) is not None
        if fixed and self.store.model(repo, revision, self.policy) is not None:
            return revision, None
        if known is not None and (fixed or time.time() - known[1] < self.settings.names_for):
            return known[0], None
        no = self._no(repo, revision)
        if no is None:
            task = self._ask(_called(user), repo, revision)
            try:
                await asyncio.wait_for(asyncio.shield(task), max(0.5, deadline - time.monotonic()))
            except TimeoutError:  # those who come next need not wait for it
                if known is not None:
                    self._remember(repo, revision, Unresolved("down", "no answer in time"))
            no = self._no(repo, revision)
            fresh = self.store.name(repo, revision)
            if fresh is not None and fresh != known:
                return fresh[0], None
        if no is not None and no.kind != "down":
            code = "RepoNotFound" if no.kind == "no-repository" else "RevisionNotFound"
            raise Refusal(404, code, no.sentence)
        if known is not None:
            self.counters.stale += 1
            since = datetime.fromtimestamp(known[1], UTC).strftime("%Y-%m-%d %H:%M UTC")
            why = "the upstream hub does not answer"
            if no is not None and no.sentence.startswith(_DISK):
                why = no.sentence
            return known[0], f"{why}; {visible(revision)} is as it was at {since}"
        if no is not None:
            raise Refusal(
                503, "", f"the gateway cannot ask the upstream hub: {no.sentence}", round(_DOWN)
            )
        raise Refusal(
            429, "", f"safe-load: the upstream hub is being asked for {repo}: ask again", 5
        )

    def _no(self, repo: str, revision: str) -> Unresolved | None:
        at, no = self._noes.get((repo, revision), (0.0, None))
        if no is None or time.monotonic() - at > (_DOWN if no.kind == "down" else _NO):
            return None
        return no

    def _ask(self, who: str, repo: str, revision: str) -> asyncio.Task[None]:
        """One question to the hub for each name at a time."""
        key = (repo, revision)
        if key not in self._asked:
            own = self._askers[who] if self.settings.users else 0
            if own >= _MOST_ASKED - len(self._asked):
                raise Refusal(
                    429, "", "the gateway asks the upstream hub for too many names at present", 10
                )
            task = asyncio.get_running_loop().create_task(self._resolve(repo, revision))
            self._asked[key] = task
            self._askers[who] += 1

            def ended(_: object) -> None:
                self._asked.pop(key, None)
                self._askers[who] -= 1

            task.add_done_callback(ended)
        return self._asked[key]

    async def _resolve(self, repo: str, revision: str) -> None:
        try:
            async with self._asking:
                commit = await commit_of(
                    repo,
                    revision,
                    token=self.settings.token_for(repo),
                    cache_dir=self.settings.data / "names",
                    alike=lambda name: self.settings.audience(name) == self.settings.audience(repo),
                )
            self.store.note_name(repo, revision, commit)
            self._noes.pop((repo, revision), None)
            self.counters.resolved += 1
        except Unresolved as no:
            self._remember(repo, revision, no)
        except RecordsError as error:
            self._remember(repo, revision, Unresolved("down", f"{_DISK}: {visible(str(error))}"))

    def _remember(self, repo: str, revision: str, no: Unresolved) -> None:
        self.counters.unresolved += 1
        self._noes[repo, revision] = time.monotonic(), no
        self._noes.move_to_end((repo, revision))
        while len(self._noes) > _MOST_NOES:
            self._noes.popitem(last=False)


def _called(user: User | None) -> str:
    """Who asks, as the records call them."""
    return user.name if user else "anonymous"
