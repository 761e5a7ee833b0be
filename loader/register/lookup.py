"""Whether a package is the real one: what its registry says, what it is like, and whether it is known to be malicious.

Zone: controller. Three sources: the registry (asked), the embedded list of popular names, and the advisories that the user
imported. What was not asked is told, and is never "clean".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from safe_load.core.escape import visible
from safe_load.register import malicious, popular
from safe_load.register.known import canonical

if TYPE_CHECKING:
    from safe_load.register.registry import Answer, Registry

Verdict = Literal[
    "malicious", "quarantined", "missing", "suspicious", "not asked", "nothing against it"
]
#: The worst first.
VERDICTS: tuple[Verdict, ...] = (
    "malicious",
    "quarantined",
    "missing",
    "suspicious",
    "not asked",
    "nothing against it",
)
#: Those that are exit code 1.
BAD = frozenset({"malicious", "quarantined", "missing", "suspicious"})
#: Days after its first upload for which a package is young, and after which a name like a popular one is its own.
YOUNG, OLD = 90, 365


@dataclass(frozen=True)
class Wanted:
    """A package as somebody names it. range: versions that satisfy it, None for any; exact: whether that is one version."""

    ecosystem: str
    name: str
    range: str | None = None
    exact: bool = False
    where: str = ""


@dataclass
class Found:
    """reasons: against it; not_asked: what nobody was asked, and why."""

    wanted: Wanted
    verdict: Verdict
    answer: Answer
    reasons: list[str] = field(default_factory=list)
    not_asked: list[str] = field(default_factory=list)
    advisories: list[str] = field(default_factory=list)
    similar: str | None = None


def parsed(text: str, ecosystem: str | None = None) -> Wanted | None:
    """A package on the command line: NAME, NAME==1.2, NAME>=1, NAME@1.2, @SCOPE/NAME, pypi:NAME, npm:NAME. None for a text that
    names none."""
    prefix, colon, rest = text.partition(":")
    if colon and prefix in malicious.OSV:
        ecosystem, text = prefix, rest
    npm = re.fullmatch(r"(@[\w.~-]{1,100}/[\w.~-]{1,200}|[\w.~-]{1,214})(?:@(.{1,200}))?", text)
    if text.startswith("@") or ecosystem == "npm":
        if npm is None:
            return None
        exact = bool(npm[2] and re.fullmatch(r"v?\d+\.\d+\.\d+(?:[-+][\w.+-]+)?", npm[2]))
        return Wanted("npm", npm[1], npm[2], exact)
    found = re.fullmatch(
        r"([A-Za-z0-9](?:[\w.-]{0,198}[A-Za-z0-9])?)(?:\[[\w, .-]{0,200}\])?\s*(?:@\s*(\S{1,100})|([<>=!~].{0,200}))?",
        text.strip(),
    )
    if found is None:
        return None
    wanted = f"=={found[2]}" if found[2] else (found[3] or None)
    exact = bool(wanted and re.fullmatch(r"===?\s*[\w.!+-]+", wanted))
    return Wanted("pypi", canonical(found[1]), wanted, exact)


def look_up(wanted: Wanted, registry: Registry) -> Found:
    """All that can be told of a package. Raises nothing but KeyboardInterrupt."""
    version = re.sub(r"^[=v\s]+", "", wanted.range or "") if wanted.exact else None
    answer = registry.ask(wanted.ecosystem, wanted.name, version)
    found = Found(wanted, "nothing against it", answer)
    bad = _malicious(wanted, found, version)
    _alike(wanted, found)
    _registry(found)
    if bad:
        found.verdict = "malicious"
    elif answer.quarantined:
        found.verdict = "quarantined"
    elif answer.there is False:
        found.verdict = "missing"
    elif found.similar is not None and not _old(answer):
        found.verdict = "suspicious"
    elif found.not_asked:
        found.verdict = "not asked"
    return found


def _malicious(wanted: Wanted, found: Found, version: str | None) -> bool:
    spec = f"=={version}" if version and wanted.ecosystem == "pypi" else version or wanted.range
    try:
        malicious.require()
        held = malicious.known(wanted.ecosystem, wanted.name, spec)
    except malicious.NotCheckedError as error:
        found.not_asked.append(f"known malicious: {error}")
        return False
    for advisory, bad in held:
        summary = f": {visible(advisory.summary, 150)}" if advisory.summary else ""
        takes = (
            ""
            if bad == "any version" or version
            else f", and {wanted.range or 'no range'} takes {bad}"
        )
        found.advisories.append(advisory.ident)
        found.reasons.append(f"known malicious, {bad}: {advisory.ident}{takes}{summary}")
    return bool(held)


def _alike(wanted: Wanted, found: Found) -> None:
    alike = popular.alike(wanted.ecosystem, wanted.name)
    if alike is not None:
        found.similar = alike.name
        found.reasons.append(
            f"its name is like that of {alike.name} ({alike.kind}; list of {popular.made()})"
        )


def _registry(found: Found) -> None:
    answer = found.answer
    if not answer.asked:
        told = "whether it exists, since when, whether it is quarantined or attested"
        found.not_asked.append(f"{told}: {answer.why}")
        return
    if answer.there is False:
        found.reasons.insert(
            0, "the registry has no such package: whoever uploads it first decides what it is"
        )
        return
    if answer.quarantined:
        found.reasons.insert(0, "the registry has quarantined it")
    elif answer.quarantined is None:
        found.not_asked.append("whether it is quarantined: this registry does not say")
    age = _days(answer)
    if age is not None and age < YOUNG:
        found.reasons.append(f"first uploaded {age} days ago")


def _days(answer: Answer) -> int | None:
    try:
        return (datetime.now(UTC).date() - date.fromisoformat(answer.first or "")).days
    except ValueError:
        return None


def _old(answer: Answer) -> bool:
    age = _days(answer)
    return age is not None and age >= OLD
