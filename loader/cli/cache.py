"""The commands for the cache: what is kept there, whether it is still what it was, and making room."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text
from safe_load.cache.entries import Cache, Entry
from safe_load.cache.lookup import home, size_limit
from safe_load.cli import terminal
from safe_load.cli.show import Page
from safe_load.core.errors import UsageError
from safe_load.core.units import format_size, parse_seconds, parse_size
from safe_load.render.json import dump
from safe_load.render.story import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHORT = 12
_VERDICTS = {"clean": "green", "suspicious": "yellow", "malicious": "red"}


def listing(*, as_json: bool, color: bool | None) -> int:
    """Every entry, the one used last first."""
    cache = Cache(home())
    entries = cache.entries()
    if as_json:
        terminal.write(dump([_plain(entry) for entry in entries]))
        return 0
    page = Page(color)
    total = format_size(sum(entry.seal.bytes for entry in entries))
    limit = format_size(size_limit())
    page.line(f"{cache.home}: {_copies(len(entries))}, {total} (limit {limit})", "bold")
    page.table(
        [
            (
                Text(entry.seal.key[:_SHORT], "cyan"),
                format_size(entry.seal.bytes),
                Text(entry.seal.verdict, _VERDICTS.get(entry.seal.verdict, "")),
                "in use" if entry.busy else _ago(entry.used),
                entry.seal.source,
            )
            for entry in entries
        ]
    )
    terminal.write(page.data())
    return 0


def verify(keys: Sequence[str], *, remove: bool, color: bool | None) -> int:
    """Hash every entry, or those that `keys` begin. Returns 0, or 1 when one is not what it was.

    remove: also remove what is not. Raises UsageError for a key of no entry."""
    cache = Cache(home())
    entries = _chosen(cache.entries(), keys)
    page = Page(color)
    wrong = 0
    for entry in entries:
        key = entry.seal.key
        problems = cache.problems(key)
        if not problems:
            continue
        wrong += 1
        fate = ""
        if remove:
            fate = ": removed" if cache.try_remove(key) else ": in use, and not removed"
        page.line(f"✗ {entry.path}{fate}", "bold red")
        page.table([(Text("·"), problem) for problem in problems])
    right = len(entries) - wrong
    if right or not wrong:
        page.line(f"✓ {_copies(right)} unchanged since clearing", "bold green")
    terminal.write(page.data())
    return 1 if wrong else 0


def prune(max_size: str | None, older_than: str | None, *, color: bool | None) -> int:
    """Make room. With no bound given, the cache's own. Raises UsageError."""
    try:
        size = parse_size(max_size) if max_size is not None else None
        age = parse_seconds(older_than) if older_than is not None else None
    except ValueError as error:
        raise UsageError(str(error)) from None
    cache = Cache(home())
    removed = cache.prune(
        max_bytes=size_limit() if size is None and age is None else size, older_than=age
    )
    left = cache.entries()
    page = Page(color)
    page.line(
        f"removed {_copies(len(removed))}, {_size(removed)}; {_copies(len(left))}, {_size(left)} left in "
        f"{cache.home}"
    )
    terminal.write(page.data())
    return 0


def _chosen(entries: list[Entry], keys: Sequence[str]) -> list[Entry]:
    for key in keys:
        if not any(entry.seal.key.startswith(key) for entry in entries):
            raise UsageError(
                f"no entry of the cache begins with {key!r}; see `safe-load cache list`"
            )
    return [entry for entry in entries if not keys or entry.seal.key.startswith(tuple(keys))]


def _plain(entry: Entry) -> dict[str, object]:
    seal = entry.seal
    return {
        "key": seal.key,
        "path": str(entry.path),
        "source": seal.source,
        "profile": seal.profile,
        "verdict": seal.verdict,
        "bytes": seal.bytes,
        "created": seal.created,
        "used": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(entry.used)),
        "in_use": entry.busy,
    }


def _copies(count: int) -> str:
    return f"{count} cleared {'copy' if count == 1 else 'copies'}"


def _size(entries: Sequence[Entry]) -> str:
    return format_size(sum(entry.seal.bytes for entry in entries))


def _ago(then: float) -> str:
    passed = max(0.0, time.time() - then)
    for unit, seconds in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if passed >= seconds:
            return f"{plural(int(passed // seconds), unit)} ago"
    return "just now"
