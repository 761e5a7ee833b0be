"""What is known of a source's publisher and pin, and what is found about them.

Zone: controller. A publisher is the first part of a name on a hub. For a folder of the hub's cache, the path says
it, and nobody has checked that path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from safe_load.core.escape import visible
from safe_load.core.report import Finding, Source, Vouched
from safe_load.judge.behaviour import finding
from safe_load.provenance.names import Alike, imitated
from safe_load.provenance.publishers import Known, known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.core.options import Options
    from safe_load.core.outside_words import HubWord
    from safe_load.core.report import Severity
    from safe_load.sources.hub import Snapshot

#: Findings that are about the name of a source, and not about its content.
ORIGIN = frozenset({"SL701", "SL702", "SL703", "SL704", "SL705"})
#: What `require_publisher` may hold beside names and patterns.
LISTED, VERIFIED = "listed", "verified"
#: Days for which a repository that bears a known model's name is suspicious, and for which it is worth a word.
_YOUNG, _RECENT = 90, 365
_CACHED = re.compile(
    r"models--([\w.-]{1,96}?)--([\w.-]{1,96})/snapshots/([0-9a-f]{40})(?:/|$)", re.ASCII
)
_SAID = {
    "looks alike": "reads like",
    "same words": "has the words of",
    "a letter off": "is a letter or two away from",
    "claims to be": "adds a word that claims to be",
    "one word more or less": "differs by one usual word from",
}


@dataclass(frozen=True)
class Origin:
    """The report's source, and what is found about it. notes: facts that were not asked; repository: ORG/NAME, also where
    only a path says it."""

    source: Source
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    repository: str | None = None


def of(
    name: str, snapshot: Snapshot | None, options: Options, *, vouched: Vouched = "unknown"
) -> Origin:
    """The origin of a source. name: as the report shows it; snapshot: of a source on a hub; vouched: "trust file"
    where a signature says so."""
    listed = known(options.publishers)
    if snapshot is None:
        source, repository = _local(name, listed)
        model = None
    else:
        repository = snapshot.name.repo
        publisher, _, model = snapshot.name.repo.rpartition("/")
        word = snapshot.word
        source = Source(
            name,
            snapshot.commit,
            publisher or None,
            _vouched(publisher, word, listed),
            snapshot.pinned,
            snapshot.pin,
            word,
        )
    if vouched != "unknown":
        source = msgspec.structs.replace(source, vouched=vouched)
    findings = [*_imitation(source, listed), *_same_name(source, model, listed)]
    findings += _requirements(source, options, listed)
    notes = () if snapshot is None else _notes(snapshot)
    return Origin(source, tuple(findings), tuple(notes), repository)


def names(repository: str | None, source: Source | None) -> tuple[str, ...]:
    """ORG/NAME as it was asked for, and as the hub answered where that is another: what is said of either counts."""
    answered = source.hub.name if source is not None and source.hub is not None else None
    return tuple(dict.fromkeys(filter(None, (repository, answered))))


def _local(name: str, listed: Known) -> tuple[Source, str | None]:
    """Of a path: what the layout of the hub's cache says of it, and the repository that it names."""
    path = str(Path(name).absolute())
    found = list(_CACHED.finditer(path))
    if not found:
        return Source(name), None
    publisher, model, commit = found[-1].groups()
    vouched: Vouched = "list" if listed.holds(publisher) else "unknown"
    return Source(name, commit, visible(publisher), vouched), f"{publisher}/{model}"


def _vouched(publisher: str, word: HubWord, listed: Known) -> Vouched:
    if word.verified:
        return "hub"
    return "list" if listed.holds(publisher) else "unknown"


def _imitation(source: Source, listed: Known) -> Iterator[Finding]:
    """Judge the publisher's name, and that of the publisher with whom the hub answered."""
    for name in filter(None, [source.publisher, *_answered(source)]):
        alike = imitated(name, listed)
        if alike is not None:
            severity: Severity = "low" if alike.kind == "one word more or less" else "medium"
            yield finding("SL702", _imitates(name, alike), source.path, severity=severity)


def _imitates(name: str, alike: Alike) -> str:
    return (
        f"The publisher {visible(name)!r} {_SAID[alike.kind]} {visible(alike.name)!r}, which is another one. "
        "How often it was downloaded says nothing: imitations are popular too."
    )


def is_young(source: Source) -> bool:
    """Whether the hub says that the repository is younger than a few months."""
    age = _days(source.hub.created) if source.hub and source.hub.created else None
    return age is not None and age <= _YOUNG


def _same_name(source: Source, model: str | None, listed: Known) -> Iterator[Finding]:
    """Judge a known model's name under a publisher that is not on the list and a repository that is young."""
    if not model or source.hub is None or source.hub.created is None:
        return
    if source.vouched != "unknown":
        return
    owners = listed.owners(model)
    age = _days(source.hub.created)
    if not owners or age is None or age > _RECENT:
        return
    detail = (
        f"{visible(model)!r} is the name of a model of {visible(owners[0])}. This repository of "
        f"{visible(source.publisher or 'nobody')} is {age} days old, as the hub says, and its publisher is not on the list."
    )
    yield finding("SL703", detail, source.path, severity="medium" if age <= _YOUNG else "low")


def _days(date: str) -> int | None:
    try:
        then = datetime.fromisoformat(date)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0, (datetime.now(UTC) - then).days)


def _requirements(source: Source, options: Options, listed: Known) -> Iterator[Finding]:
    if options.require_pin and not source.pinned:
        if source.pin is None:
            detail = (
                "A pin is required, and this source is a local path, of which no commit is known."
            )
        else:
            detail = (
                f"A pin is required, and the name does not hold the full commit. Write {source.pin}"
            )
        yield finding("SL704", detail, source.path)
    if options.require_publisher and not _accepted(source, options.require_publisher, listed):
        wanted = ", ".join(map(visible, options.require_publisher))
        who = f"is {visible(source.publisher)!r}" if source.publisher else "is not known"
        path = (
            " (as the path says, which proves nothing)"
            if source.publisher and not source.pin
            else ""
        )
        yield finding(
            "SL705", f"A publisher is required ({wanted}), and this one {who}{path}.", source.path
        )


def _accepted(source: Source, wanted: tuple[str, ...], listed: Known) -> bool:
    """Whether one of the names holds, also for the publisher with whom the hub answered. What only a path says
    counts for nothing, unless a signature says it too."""
    if source.vouched != "trust file" and source.pin is None:
        return False
    names = [source.publisher or "", *_answered(source)]
    return all(any(_is(name, each, source, listed) for each in wanted) for name in names)


def _is(publisher: str, wanted: str, source: Source, listed: Known) -> bool:
    if wanted == LISTED:
        return listed.holds(publisher)
    if wanted == VERIFIED:
        return source.vouched == "hub"
    return bool(publisher) and fnmatchcase(publisher.casefold(), wanted.casefold())


def _answered(source: Source) -> list[str]:
    """The publisher with whom the hub answered, where that is another one."""
    answered = (source.hub.name or "").rpartition("/")[0] if source.hub else ""
    same = answered.casefold() == (source.publisher or "").casefold()
    return [answered] if answered and not same else []


def _notes(snapshot: Snapshot) -> Iterator[str]:
    word = snapshot.word
    if word.asked != "yes":
        why = {"offline": "the hub was not asked"}.get(word.asked, "the hub gave no answer")
        yield (
            f"not asked: when the repository was created, whether the hub calls the publisher verified, and "
            f"the hub's own scan ({why})"
        )
        return
    if word.name and word.name.casefold() != snapshot.name.repo.casefold():
        yield f"the hub answers with another repository, {word.name}: the one that was named was moved or renamed"
