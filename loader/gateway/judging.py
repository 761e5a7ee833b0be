"""A process that judges models for a gateway, one after another, in one warm sandbox.

Zone: controller, in a process of its own: one that is killed or broken takes one model along and no server. Lines of
JSON on its standard streams. It says which policy it goes by; then, for each order, it fetches the commit, says what
its bytes are, and is told whether to open them, or that they were judged already. It ends when its standard input does, and all
that runs in rooms ends with it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.advisories import judge as advisories
from safe_load.advisories import store
from safe_load.attest import trust
from safe_load.cache import cache_key
from safe_load.cache.source_index import SourceIndex
from safe_load.core import typed
from safe_load.core.errors import LimitHit, NotLoadable, SafeLoadError, sentence
from safe_load.core.exceptions import Accepted
from safe_load.core.hashing import sha256_files
from safe_load.core.options import Options, OptionsDict, Progress
from safe_load.core.report import encode
from safe_load.fleet import driver
from safe_load.judge.exceptions import file_of
from safe_load.loading import pipeline
from safe_load.provenance import origin
from safe_load.render import acts, summary
from safe_load.rooms import choice
from safe_load.sources import hub

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from safe_load.core.report import Report
    from safe_load.fleet.driver import Fleet
    from safe_load.sandbox.backends.interface import Backend

#: Seconds between two signs of life.
_BEAT = 1.0
#: The same while a fleet has the model.
_WAITING = 30.0
#: Of those that no exception covers.
_MOST_FINDINGS = 500
#: Findings that the same bytes may not have under another name: also that of weights that are nearly another publisher's.
_ABOUT_NAME = origin.ORIGIN | {"SL707"}
_OUTCOMES: dict[type[BaseException], str] = {NotLoadable: "not_loadable", LimitHit: "limit_hit"}


class Order(msgspec.Struct, frozen=True):
    """One model. token: for the hub. folder: for all that is made of it; exceptions: (finding, SHA-256 of the file,
    reason, last day)."""

    repo: str
    commit: str
    token: str | None
    folder: str
    exceptions: list[tuple[str, str, str, str]] = []


class Go(msgspec.Struct, frozen=True):
    """The answer to the bytes' digest: whether they shall be opened."""

    open: bool


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of this process: the policy that it goes by, a stage, the digest of the fetched bytes, or the end. fetched:
    whether the end came after the files had. findings: as store.Judged has them; about_name: whether one is about
    what the repository is called."""

    policy: str | None = None
    stage: str | None = None
    key: str | None = None
    outcome: str | None = None
    fetched: bool = False
    verdict: str = "unknown"
    sentence: str = ""
    target: str | None = None
    report: str | None = None
    findings: list[tuple[str, str, str, str, str, bool]] = []
    about_name: bool = False
    until: str | None = None


def policy_of(options: Options, backend: Backend, index: Path) -> str:
    """What every verdict of these options hangs on, but for exceptions, as SHA-256 in hex. Not the day: a gateway outlives
    it, and so do its verdicts."""
    policy = cache_key.policy(options, backend, SourceIndex(index))
    del policy["day"]
    return hashlib.sha256(msgspec.json.encode(policy, order="sorted")).hexdigest()


def main() -> None:
    """Judge what is asked for on stdin, until that ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    lines = iter(sys.stdin.buffer.readline, b"")
    start = typed.plain(next(lines))

    def say(said: Said) -> None:
        answers.write(msgspec.json.encode(said) + b"\n")

    try:
        given: OptionsDict = {  # type: ignore[assignment]
            name: tuple(value) if isinstance(value, list) else value  # JSON has no tuples
            for name, value in start["options"].items()
        }
        options = Options(**given)
        backend = choice.backend_of(options, choice.profile_of(options), warm=True)
        fleet = driver.of(*start["on"]) if start.get("on") else None
        say(Said(policy=policy_of(options, backend, Path(start["index"]))))
    except SafeLoadError as error:
        return say(Said(outcome="sandbox_error", sentence=sentence(error)))
    judge = _Judge(given, backend, fleet, say)
    arrived = threading.Condition()
    waiting: list[bytes] = []

    def listen() -> None:
        for line in lines:
            with arrived:
                waiting.append(line)
                arrived.notify()
        # Nobody waits for a verdict any more. Rooms end with the process that holds their lifeline.
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()

    def next_line() -> bytes:
        with arrived:
            arrived.wait_for(lambda: waiting)
            return waiting.pop(0)

    if fleet is None:
        with suppress(OSError):  # the load itself says so
            backend.warm_up()
    while True:
        order = typed.decode(next_line(), Order)
        say(judge.judged(order, lambda: typed.decode(next_line(), Go).open))


class _Judge:
    """The warm sandbox, or the fleet that opens models instead, and what is said of it."""

    def __init__(
        self,
        options: OptionsDict,
        backend: Backend,
        fleet: Fleet | None,
        say: Callable[[Said], None],
    ) -> None:
        self._options = options
        self._backend = backend
        self._fleet = fleet
        self._say = say
        self._told = (0.0, "")

    def judged(self, order: Order, go: Callable[[], bool]) -> Said:
        """The end of one order. go: asks whether the bytes, whose digest was said, shall be opened."""
        fetched = False
        try:
            digests: dict[Path, str] = {}
            snapshot = self._fetch(order, digests)
            fetched = True
            options = self._with_exceptions(order, set(digests.values()))
            self._say(Said(key=_key(snapshot, digests, options)))
            if not go():
                return Said(outcome="known", fetched=True)
            target = Path(order.folder, f"cleared-{os.getpid()}-{time.monotonic_ns()}")
            return _said(self._opened(snapshot, target, options), order, target)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is no verdict
            outcome = _OUTCOMES.get(type(error), "sandbox_error")
            return Said(outcome=outcome, fetched=fetched, sentence=sentence(error))

    def _opened(self, snapshot: hub.Snapshot, target: Path, options: Options) -> Report:
        if self._fleet is None:
            return pipeline.load(snapshot, target, options, self._progress, backend=self._backend)
        ended = threading.Event()

        def beat() -> None:
            self._say(Said(stage="fleet"))
            while not ended.wait(_WAITING):
                self._say(Said(stage="fleet"))

        threading.Thread(target=beat, daemon=True).start()
        try:
            return self._fleet.load(snapshot, target, options)
        finally:
            ended.set()

    def _fetch(self, order: Order, digests: dict[Path, str]) -> hub.Snapshot:
        def hashed(paths: Collection[Path]) -> Mapping[Path, str]:
            found = sha256_files(paths, progress=lambda _: self._beat("hash"))
            digests.update(found)
            return found

        snapshot = hub.fetch(
            hub.named(order.repo, order.commit),
            cache_dir=Path(order.folder, "hub"),
            token=order.token or False,
            every=self._options.get("all_files", False),
            progress=lambda *_: self._beat("fetch"),
            sha256=hashed,
        )
        # Hashed so far is what git keeps by LFS, under its real path: the rest is small.
        known = dict(digests)
        digests.clear()
        places = {name: Path(os.path.realpath(snapshot.path / name)) for name in snapshot.files}
        known |= sha256_files({place for place in places.values() if place not in known})
        digests.update({Path(name): known[place] for name, place in places.items()})
        return snapshot

    def _with_exceptions(self, order: Order, present: set[str]) -> Options:
        chosen = tuple(
            Accepted(finding, sha256, reason, date.fromisoformat(until), "the gateway")
            for finding, sha256, reason, until in order.exceptions
            if sha256 in present
        )
        return Options(**self._options | {"exceptions": chosen})

    def _progress(self, step: Progress) -> None:
        self._beat(step.stage)

    def _beat(self, stage: str) -> None:
        now = time.monotonic()
        if stage != self._told[1] or now - self._told[0] > _BEAT:
            self._told = (now, stage)
            self._say(Said(stage=stage))


def _key(snapshot: hub.Snapshot, digests: Mapping[Path, str], options: Options) -> str:
    """What a verdict is about: the bytes, the standing of their commit, what speaks against the name, whose signature counts
    for it, and the exceptions that may cover them. Names that nothing speaks against share a verdict on the same bytes."""
    known = origin.of(str(snapshot.name), snapshot, options)
    names = origin.names(snapshot.name.repo, known.source)
    listed = {str(path): digest for path, digest in digests.items()}
    about_name = [*known.findings, *advisories.judge(listed, *names)[1]]
    stated = {
        "name": sorted((found.id, found.severity, found.detail) for found in about_name),
        "files": sorted(listed.items()),
        "signers": trust.bound(options.trust, names),
        "lists": store.stamp(),
        "standing": snapshot.standing,
        "exceptions": sorted(
            (each.finding, each.sha256, str(each.until))
            for each in options.exceptions
            if each.holds
        ),
    }
    return hashlib.sha256(msgspec.json.encode(stated, order="sorted")).hexdigest()


def _said(report: Report, order: Order, target: Path) -> Said:
    """What came of a load, with its report in a file of the order's folder."""
    place = Path(order.folder, "report.json")
    place.write_bytes(encode(report))
    used = {found.accepted.until for found in report.findings if found.accepted is not None}
    told = " ".join(summary.reason(report, acts.acts(report))) or report.outcome_detail or ""
    cleared = report.outcome == "ok" and report.export is not None
    return Said(
        # A load that ended well and exported nothing is none that can be served.
        outcome=report.outcome if cleared or report.outcome != "ok" else "not_loadable",
        fetched=True,
        verdict=report.verdict,
        sentence=told or ("" if cleared else "nothing was exported"),
        target=str(target) if cleared else None,
        report=str(place),
        findings=_tied(report),
        about_name=any(found.id in _ABOUT_NAME for found in report.findings),
        until=min(used, default=None),
    )


def _tied(report: Report) -> list[tuple[str, str, str, str, str, bool]]:
    """The findings that an exception can cover, as store.Judged has them. None is left out that one covers: when the
    exception ends, this tells which models were cleared with it."""
    digests = {file.path: file.sha256 for file in report.files if file.sha256}
    found = [
        (each.id, digests[about], each.severity, each.title, each.location[:300], each.accepted is not None)
        for each in report.findings
        if (about := file_of(each, digests)) is not None
    ]  # fmt: skip
    covered = {row[:2]: row for row in reversed(found) if row[5]}
    return [*covered.values(), *[row for row in found if not row[5]][:_MOST_FINDINGS]]


if __name__ == "__main__":
    main()
