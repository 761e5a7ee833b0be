"""Makes rows of references: what belongs together, what speaks against it, and which link is trusted least."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.register import known, publishers
from safe_load.register.rows import Chain, Fact, Locked, Pin, Read, Reference, Row, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from safe_load.register.rows import Kind, State

#: How much a fact weighs: the row with the highest sum stands first.
WEIGHTS = {
    "malicious": 1000,
    "unread": 400,
    "look-alike": 300,
    "link-key": 220,
    "steers": 200,
    "credential": 40,
    "plain": 90,
    "extra-index": 110,
    "remote-code": 80,
    "hub-code": 60,
    "source": 45,
    "remote": 35,
    "link": 40,
    "computed": 5,
    "clone": 10,
    "piped": 70,
    "default": 20,
    "malformed": 80,
    "here": -60,
    "date": -10,
    "hash": -5,
}
_BASE: dict[tuple[Kind, State], int] = {
    ("tool", "floating"): 100,
    ("tool", "unknown"): 60,
    ("tool", "pinned"): 40,
    ("model", "floating"): 60,
    ("model", "unknown"): 45,
    ("model", "pinned"): 20,
    ("library", "floating"): 30,
    ("library", "unknown"): 30,
    ("library", "pinned"): 5,
    ("host", "unknown"): 25,
    ("host", "floating"): 25,
    ("host", "pinned"): 10,
}
_UNKNOWN = 15
#: Facts that say how a link is used, and nothing against it.
_TOLD = {"credential": "is given the credential {}", "label": "{}"}
_MOST_WHERE = 200
_ORDER = {"pinned": 0, "unknown": 1, "floating": 2}


@dataclass
class _Draft:
    kind: Kind
    name: str
    state: State
    value: str | None
    references: list[tuple[str, Reference]] = field(default_factory=list)
    facts: dict[Fact, None] = field(default_factory=dict)


def chain(
    reads: Sequence[Read],
    exists: Callable[[str], bool] = lambda _: False,
    further: Callable[[Reference], Iterable[Fact]] = lambda _: (),
) -> Chain:
    """The register of what was read.

    Args:
        exists: whether a relative path is a folder or file of the project: such a name is no hub's.
        further: more facts about a link, e.g. from a list of known-malicious versions.
    """
    drafts: dict[tuple[object, ...], _Draft] = {}
    for path, made in links(reads, exists):
        more = tuple(further(made))
        if not counts(made, more):
            continue
        key = (made.kind, _folded(made), made.state, made.value)
        draft = drafts.setdefault(key, _Draft(made.kind, made.name, made.state, made.value))
        draft.references.append((path, made))
        draft.facts |= dict.fromkeys(made.facts)
        draft.facts |= dict.fromkeys(more)
    rows = [(_score(draft), _row(draft)) for draft in drafts.values()]
    rows += [(WEIGHTS["unread"], _unread(read)) for read in reads if read.problem]
    rows.sort(
        key=lambda scored: (-scored[0], scored[1].kind, scored[1].name, scored[1].pin.value or "")
    )
    from msgspec.structs import replace  # noqa: PLC0415

    return Chain([replace(row, rank=rank) for rank, (_, row) in enumerate(rows, 1)])


def links(
    reads: Sequence[Read], exists: Callable[[str], bool] = lambda _: False
) -> Iterator[tuple[str, Reference]]:
    """(path, reference) of each place that names a link, as the whole project tells: what a lock file pins is pinned,
    a folder of the project is no hub's name, and a name that stands alone is left out where a call uses it."""
    locks = _locks(reads)
    strong = {(each.kind, each.name) for read in reads for each in read.references if not each.weak}
    for read in reads:
        for reference in read.references:
            if not reference.weak or (reference.kind, reference.name) not in strong:
                yield read.path, _locked(_local(reference, exists), locks)


def counts(reference: Reference, more: Sequence[Fact]) -> bool:
    """Of libraries those that touch models, and those against which something speaks."""
    if reference.kind != "library" or reference.ecosystem not in {"pypi", "npm", "conda"}:
        return True
    ecosystem = "npm" if reference.ecosystem == "npm" else "pypi"
    return bool(more) or known.touches_models(ecosystem, reference.name)


def _folded(reference: Reference) -> str:
    return reference.name.lower() if reference.ecosystem in {"hub", "github"} else reference.name


def _local(reference: Reference, exists: Callable[[str], bool]) -> Reference:
    """A name that is a folder of the project: loaders look there first."""
    if reference.ecosystem != "hub" or reference.state == "pinned" or not exists(reference.name):
        return reference
    from msgspec.structs import replace  # noqa: PLC0415

    told = Fact("local", "a folder of this project")
    return replace(
        reference, ecosystem="local", state="unknown", fix="", facts=(told, *reference.facts)
    )


def _locks(reads: Sequence[Read]) -> dict[tuple[str, str], tuple[str, Locked]]:
    locks = {}
    for read in reads:
        for locked in read.locked:
            locks[locked.key, locked.name] = (read.path, locked)
    return locks


def _locked(reference: Reference, locks: dict[tuple[str, str], tuple[str, Locked]]) -> Reference:
    """A range that a lock file beside it pins, or one further up, as workspaces have them."""
    if not reference.lock:
        return reference
    from msgspec.structs import replace  # noqa: PLC0415

    ecosystem, _, folder = reference.lock.partition(":")
    while True:
        found = locks.get((f"{ecosystem}:{folder}", reference.name))
        if found is not None:
            path, locked = found
            hashed = "with its hash" if locked.hashed else "without a hash"
            told = Fact(
                "lock",
                f"{path} holds {locked.version} {hashed}; the range is {reference.value or 'any version'}",
            )
            return replace(
                reference,
                state="pinned",
                value=locked.version,
                fix="",
                facts=(*reference.facts, told),
            )
        if not folder:
            return reference
        folder = folder.rpartition("/")[0]


def _score(draft: _Draft) -> int:
    score = _BASE[draft.kind, draft.state]
    codes: dict[str, int] = {}
    for fact in draft.facts:
        codes[fact.code] = codes.get(fact.code, 0) + 1
    score += sum(
        WEIGHTS.get(code, 0) * (min(count, 3) if code == "credential" else 1)
        for code, count in codes.items()
    )
    return score + (0 if _publisher(draft)[1] else _UNKNOWN)


def _publisher(draft: _Draft) -> tuple[str | None, bool]:
    return publishers.of(draft.kind, draft.references[0][1].ecosystem, draft.name)


def _row(draft: _Draft) -> Row:
    publisher, known = _publisher(draft)
    where = sorted({Where(path, reference.line) for path, reference in draft.references})
    # The fix for the first place; of a fix that several places share, its text is the same.
    fixes = [reference.fix for _, reference in draft.references if reference.fix]
    reasons = _reasons(draft, known)
    return Row(
        draft.kind,
        draft.name,
        publisher,
        known,
        Pin(draft.state, draft.value),
        where[:_MOST_WHERE],
        reasons,
        fixes[0] if fixes else "",
        0,
    )


def _reasons(draft: _Draft, known: bool) -> list[str]:
    reasons = []
    heavy = sorted(draft.facts, key=lambda fact: -WEIGHTS.get(fact.code, 0))
    reasons += [fact.text for fact in heavy if WEIGHTS.get(fact.code, 0) >= WEIGHTS["extra-index"]]
    pin = _pin_reason(draft)
    reasons += [pin] if pin else []
    rest = [fact for fact in heavy if WEIGHTS.get(fact.code, 0) < WEIGHTS["extra-index"]]
    reasons += [_TOLD.get(fact.code, "{}").format(fact.text) for fact in rest if fact.text]
    ecosystem = draft.references[0][1].ecosystem
    if not known and ecosystem in {"hub", "github"} and "/" in draft.name:
        reasons.append("the publisher is on no list of known ones")
    elif (
        not known and draft.kind == "host" and not any(fact.code == "here" for fact in draft.facts)
    ):
        reasons.append("the host is on no list of known ones")
    elif not known and draft.kind == "tool":
        reasons.append("the publisher is on no list of known ones")
    return list(dict.fromkeys(reasons))


def _pin_reason(draft: _Draft) -> str:
    if draft.state != "floating":
        return ""
    ecosystem = draft.references[0][1].ecosystem
    value = draft.value
    if ecosystem in {"hub", "github", "git"}:
        if value is None:
            return "no revision: the newest commit is taken"
        if re.fullmatch(r"[0-9a-f]{4,39}", value):
            return f"{value} is not a whole commit: {len(value)} of 40 digits"
        return f"{value} is a branch or a tag, and moves"
    if ecosystem == "oci":
        return f"the tag {value} moves" if value else "no tag and no digest: latest is taken"
    if ecosystem == "ollama":
        return f"the tag {value} moves" if value else "no tag: latest is taken"
    if ecosystem == "hosted":
        return "the provider decides which model answers"
    if ecosystem in {"npm", "pypi", "conda"}:
        return f"{value} is no exact version" if value else "no version: the newest is taken"
    return ""


def _unread(read: Read) -> Row:
    """A file that should name links and was not read: what it brings in is unknown."""
    kind: Kind = (
        "tool"
        if "mcp" in read.path.lower()
        else "library"
        if read.path.endswith((".lock", ".txt"))
        else "model"
    )
    reason = f"not read: {read.problem}"
    return Row(
        kind, f"<{read.path}>", None, False, Pin("unknown"), [Where(read.path, 1)], [reason], "", 0
    )


def loosened(old: State, new: State) -> bool:
    """Whether a state says less than an older one."""
    return _ORDER[new] > _ORDER[old]
