"""The commands for advisories: import files, list what was imported, take an import out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from safe_load.advisories import known_bad, store
from safe_load.cli import terminal
from safe_load.cli.show import Page
from safe_load.core.errors import UsageError
from safe_load.render.json import dump
from safe_load.render.story import plural

if TYPE_CHECKING:
    from collections.abc import Sequence


def add(files: Sequence[str], key: str | None, *, color: bool | None) -> int:
    """Import each file, by what it holds. Returns 0, or 1 for a signature that is wrong."""
    page = Page(color)
    code = 0
    for name in files:
        path = Path(name)
        try:
            done = _add(path, Path(key) if key else None)
        except known_bad.WrongSignature as error:
            page.line(f"✗ {error}", "bold red")
            code = 1
            continue
        what = "advisories on packages" if done.kind == "osv" else "models"
        page.line(f"✓ {done.entries:,} {what} of {path}, {_age(done)}", "bold green")
    terminal.write(page.data())
    return code


def _add(path: Path, key: Path | None) -> store.Import:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return store.add_list(path, key) if known_bad.is_list(head) else store.add_osv(path)


def listing(*, as_json: bool, color: bool | None) -> int:
    """What was imported. Raises UsageError for a database that does not read."""
    try:
        found = store.imports()
    except store.Broken as error:
        raise UsageError(str(error)) from None
    if as_json:
        terminal.write(dump([_plain(each) for each in found]))
        return 0
    page = Page(color)
    where = store.folder() / store.NAME
    page.line(f"{where}: {plural(len(found), 'import')}", "bold")
    if not found:
        page.line("known malicious models and packages are not checked")
    page.table(
        [(Text(each.name, "cyan"), f"{each.entries:,}", _age(each), each.file) for each in found]
    )
    terminal.write(page.data())
    return 0


def remove(name: str) -> int:
    """Take an import out. Raises UsageError where there is none of that name."""
    if not store.remove(name):
        raise UsageError(f"there is no import {name!r}; see `safe-load advisories list`")
    return 0


def _age(done: store.Import) -> str:
    days = done.days
    age = "of an unknown day" if days is None else f"{plural(days, 'day')} old"
    return f"{age}, expired on {done.expires}" if done.expired else age


def _plain(done: store.Import) -> dict[str, object]:
    return {
        "name": done.name,
        "kind": done.kind,
        "file": done.file,
        "imported": done.imported,
        "made": done.made,
        "expires": done.expires,
        "expired": done.expired,
        "age_days": done.days,
        "entries": done.entries,
        "signer": done.signer,
    }
