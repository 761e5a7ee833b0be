"""Versions and ranges, by each ecosystem's own rules: PyPI's by packaging (PEP 440), npm's by semantic-version.

Zone: controller. semantic-version reads npm's ranges as npm does; univers 32.0 takes `<=2`, `1.2` and `>1.2` for exact bounds.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_LONGEST = 200
_MOST = 50_000


@cache
def _parsed(ecosystem: str, version: str) -> Any:
    """A version that compares; None for a text that is none."""
    if len(version) > _LONGEST:
        return None
    if ecosystem == "npm":
        from semantic_version import Version as Semantic  # noqa: PLC0415 (an extra)

        try:
            return Semantic(version.strip().lstrip("v="))
        except ValueError:
            try:
                return Semantic.coerce(version.strip().lstrip("v="))
            except ValueError:
                return None
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 (an extra)

    try:
        return Version(version)
    except InvalidVersion:
        return None


def newest(ecosystem: str, found: Sequence[str]) -> str | None:
    """The highest of these versions, a final one where there is any; None of none."""
    read = [(_parsed(ecosystem, text), text) for text in found[:_MOST]]
    known = [(version, text) for version, text in read if version is not None]
    final = [each for each in known if not _is_pre(each[0])]
    best = max(final or known, key=lambda each: each[0], default=None)
    return best[1] if best is not None else None


def _is_pre(version: Any) -> bool:
    return bool(version.prerelease if hasattr(version, "prerelease") else version.is_prerelease)


def same(ecosystem: str, one: str, other: str) -> bool:
    """Whether two texts are one version: 1.0 and 1.0.0 of PyPI are."""
    left, right = _parsed(ecosystem, one), _parsed(ecosystem, other)
    if left is None or right is None:
        return one.strip() == other.strip()
    return bool(left == right)


def satisfies(ecosystem: str, wanted: str | None, version: str) -> bool:
    """Whether a range takes a version. A range that cannot be read takes any: a doubt counts."""
    wanted = (wanted or "").strip()
    if wanted in {"", "*", "latest", "next"} or len(wanted) > _LONGEST:
        return True
    found = _parsed(ecosystem, version)
    if found is None:
        return True
    if ecosystem == "npm":
        from semantic_version import NpmSpec  # noqa: PLC0415 (an extra)

        try:
            return bool(NpmSpec(re.sub(r"([<>=~^])\s+", r"\1", wanted)).match(found))
        except ValueError:
            return True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 (an extra)

    try:
        return SpecifierSet(_pep440(wanted)).contains(found, prereleases=True)
    except InvalidSpecifier:
        return True


def _pep440(wanted: str) -> str:
    """Poetry's ^1.2 and ~1.2 as PEP 440 has them; anything else as it is."""
    match = re.fullmatch(r"([\^~])(\d+(?:\.\d+)*)", wanted)
    if match is None:
        return wanted if re.match(r"[<>=!~]", wanted) else f"=={wanted}"
    parts = [int(part) for part in match[2].split(".")]
    at = 0 if match[1] == "^" else min(1, len(parts) - 1)
    if match[1] == "^":
        at = next((n for n, part in enumerate(parts) if part), len(parts) - 1)
    above = [*parts[:at], parts[at] + 1]
    return f">={match[2]},<{'.'.join(map(str, above))}"


def intervals(events: Iterable[Mapping[str, str]]) -> list[tuple[str, str | None, bool]]:
    """OSV's events as intervals: (first version, last or None for no end, whether the last is in it)."""
    found: list[tuple[str, str | None, bool]] = []
    for event in events:
        if (first := event.get("introduced")) is not None:
            found.append((first, None, False))
        elif found and (end := event.get("fixed") or event.get("limit")):
            found[-1] = (found[-1][0], end, False)
        elif found and (end := event.get("last_affected")):
            found[-1] = (found[-1][0], end, True)
    return found


def within(ecosystem: str, version: str, interval: tuple[str, str | None, bool]) -> bool:
    """Whether a version lies in an interval. One that cannot be compared does: a doubt counts."""
    first, end, inclusive = interval
    found = _parsed(ecosystem, version)
    if found is None:
        return True
    low = None if first in {"0", "0.0.0", "0.0.0-0"} else _parsed(ecosystem, first)
    if low is not None and found < low:
        return False
    if end is None:
        return True
    high = _parsed(ecosystem, end)
    if high is None:
        return True
    return bool(found <= high if inclusive else found < high)


def takes_one(
    ecosystem: str,
    wanted: str | None,
    listed: Sequence[str],
    events: Sequence[Mapping[str, str]],
) -> str | None:
    """A bad version that a range takes, None of none. listed: bad versions; events: intervals of further ones.

    Of an interval its ends, and the ends of the range itself, are tried: where both meet, one of them is in both."""
    bad = next((version for version in listed if satisfies(ecosystem, wanted, version)), None)
    if bad is not None:
        return bad
    ends = re.findall(r"\d[\w.+-]*", wanted or "")[:50]
    for interval in intervals(events):
        first, end, inclusive = interval
        tried = [first, *([end] if end and inclusive else []), *ends]
        for version in tried:
            version_ = "0.0.0" if version == "0" else version
            if within(ecosystem, version_, interval) and satisfies(ecosystem, wanted, version_):
                return version_
    return None
