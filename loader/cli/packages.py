"""The command `safe-load packages`: are these packages the real ones."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from safe_load.cli import terminal
from safe_load.cli.show import Page
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.core.installed import need
from safe_load.register import lookup, malicious, popular, reading, walk
from safe_load.register.registry import Registry
from safe_load.render.json import dump
from safe_load.render.story import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.register.lookup import Found, Wanted
    from safe_load.register.rows import Read

SCHEMA = "safe-load/packages/1"
#: Packages of one command, and those that are asked at a time.
_MOST, _AT_ONCE = 5000, 8
_STYLES = {
    "malicious": "bold red",
    "quarantined": "bold red",
    "missing": "bold red",
    "suspicious": "red",
    "not asked": "yellow",
    "nothing against it": "green",
}
_MARKS = {
    "malicious": "✗",
    "quarantined": "✗",
    "missing": "✗",
    "suspicious": "✗",
    "not asked": "?",
    "nothing against it": "✓",
}


def packages(
    names: Sequence[str],
    *,
    ecosystem: str | None,
    offline: bool,
    pypi: str | None,
    npm: str | None,
    as_json: bool,
    color: bool | None,
) -> int:
    """Look each package up and show what was found. Returns the exit code. Raises UsageError."""
    need("packaging", "safe-load[register]")
    need("semantic_version", "safe-load[register]")
    for flag, url in (("--pypi", pypi), ("--npm", npm)):
        if url is not None and not Registry.fit(url):
            raise UsageError(f"{flag} {visible(url, 100)!r} is no https:// address")
    wanted, code = _wanted(names, ecosystem)
    if len(wanted) > _MOST:
        raise UsageError(f"{len(wanted)} packages are more than {_MOST}, the bound of one command")
    registry = Registry(pypi, npm, offline=offline)
    for kind in {each.ecosystem for each in wanted} if not offline else ():
        registry.address(kind)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda each: lookup.look_up(each, registry), wanted))
    found.sort(key=lambda each: (lookup.VERDICTS.index(each.verdict), each.wanted.name))
    terminal.write(dump(_document(found)) if as_json else _page(found, color))
    if any(each.verdict in lookup.BAD for each in found):
        return 1
    failed = not offline and any(not each.answer.asked for each in found)
    return code or (3 if failed else 0)


def _wanted(names: Sequence[str], ecosystem: str | None) -> tuple[list[Wanted], int]:
    """The packages that are named, and those that files name; and a code for files that were not read."""
    wanted: dict[tuple[str, str, str | None], Wanted] = {}
    code = 0
    for name in names:
        path = Path(name)
        if path.is_file():
            read = _read(path)
            if read.problem:
                raise UsageError(f"{name} was not read: {read.problem}")
            found = [*_of_file(read, name)]
            if not found:
                raise UsageError(f"{name} names no package of PyPI or npm")
        else:
            one = lookup.parsed(name, ecosystem)
            if one is None:
                raise UsageError(
                    f"{visible(name, 100)!r} is neither a file nor the name of a package"
                )
            found = [one]
        for each in found:
            wanted.setdefault((each.ecosystem, each.name, each.range), each)
    return list(wanted.values()), code


def _read(path: Path) -> Read:
    kind, most, _ = walk.kind_of(path.name)
    if kind not in _FILES:
        kind, most = "requirements", 4 << 20
    file = walk.File(path.name, str(path.resolve()), kind, most)
    return reading.read([file], time.monotonic() + 60)[0]


_FILES = frozenset(
    {
        "requirements",
        "pyproject",
        "python-lock",
        "pipfile",
        "pipfile-lock",
        "package-json",
        "package-lock",
        "text-lock",
        "setup-cfg",
        "conda",
    }
)


def _of_file(read: Read, name: str) -> list[Wanted]:
    found = [
        lookup.Wanted(
            each.ecosystem,
            each.name,
            f"=={each.value}"
            if each.state == "pinned" and each.ecosystem == "pypi"
            else each.value,
            each.state == "pinned",
            f"{name}:{each.line}",
        )
        for each in read.references
        if each.kind == "library" and each.ecosystem in malicious.OSV
    ]
    for locked in read.locked:
        npm = locked.key.startswith("npm:")
        version = locked.version if npm else f"=={locked.version}"
        found.append(
            lookup.Wanted(
                "npm" if npm else "pypi", locked.name, version, True, f"{name}:{locked.line}"
            )
        )
    return found


def _document(found: Sequence[Found]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "popular_list": popular.made(),
        "packages": [
            {
                "ecosystem": each.wanted.ecosystem,
                "name": each.wanted.name,
                "range": each.wanted.range,
                "where": each.wanted.where or None,
                "verdict": each.verdict,
                "exists": each.answer.there,
                "first_uploaded": each.answer.first,
                "quarantined": each.answer.quarantined,
                "attested": each.answer.attested,
                "similar_to": each.similar,
                "advisories": each.advisories,
                "reasons": each.reasons,
                "not_asked": each.not_asked,
            }
            for each in found
        ],
    }


def _page(found: Sequence[Found], color: bool | None) -> bytes:
    page = Page(color)
    bad = sum(each.verdict in lookup.BAD for each in found)
    head = (
        f"✗ {bad} of {plural(len(found), 'package')} should not be installed"
        if bad
        else f"{plural(len(found), 'package')}: nothing against {'it' if len(found) == 1 else 'them'} in what was asked"
    )
    page.line(head, "bold red" if bad else "bold")
    for each in found:
        wanted = each.wanted
        named = f"{wanted.ecosystem} {wanted.name}"
        if wanted.range:
            named += f" {wanted.range}"
        page.table(
            [
                (
                    Text(f"{_MARKS[each.verdict]} {each.verdict}", _STYLES[each.verdict]),
                    named,
                    wanted.where,
                )
            ]
        )
        lines = [*each.reasons]
        if each.answer.asked and each.answer.there:
            lines.append(_facts(each))
        if lines:
            page.table([(Text("   "), line) for line in lines])
    shared = list(dict.fromkeys(line for each in found for line in each.not_asked))
    if shared:
        page.line("Not asked", "bold", gap=True)
        page.table([(Text("·"), line) for line in shared[:50]])
    return page.data()


def _facts(each: Found) -> str:
    answer = each.answer
    told = [
        f"first uploaded {answer.first}"
        if answer.first
        else "the registry does not say when it was first uploaded"
    ]
    if answer.attested is not None:
        told.append("attested" if answer.attested else "not attested")
    if answer.quarantined is False:
        told.append("not quarantined")
    return ", ".join(told)
