"""The database of advisories: one SQLite file in the user's data folder.

Zone: controller. An import is one transaction. Who reads opens the file for reading only; a file that is missing, busy or
broken makes a state that the report tells, and never a silent "nothing found".
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from safe_load.advisories import known_bad, osv
from safe_load.core.errors import LimitHit, UsageError
from safe_load.core.escape import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from safe_load.advisories.known_bad import Bad

NAME = "advisories.sqlite"
_VERSION = 1
_BUSY = 5.0  # seconds
_AT_ONCE = 500
_TABLES = """
CREATE TABLE packages (
    ecosystem TEXT NOT NULL, package TEXT NOT NULL, ident TEXT NOT NULL, modified TEXT NOT NULL,
    malicious INTEGER NOT NULL, summary TEXT NOT NULL, versions TEXT NOT NULL, every INTEGER NOT NULL,
    ranges TEXT NOT NULL, PRIMARY KEY (ecosystem, package, ident)) WITHOUT ROWID;
CREATE INDEX by_ident ON packages (ident);
CREATE TABLE models (
    kind TEXT NOT NULL, value TEXT NOT NULL, list TEXT NOT NULL, reason TEXT NOT NULL, reference TEXT,
    PRIMARY KEY (kind, value, list)) WITHOUT ROWID;
CREATE TABLE imports (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, file TEXT NOT NULL, sha256 TEXT NOT NULL, imported TEXT NOT NULL,
    made TEXT NOT NULL, expires TEXT, entries INTEGER NOT NULL, signer TEXT);
"""


@dataclass(frozen=True)
class Import:
    """One import that holds. kind: "osv" or "models"; made: of a list its day, of a dump the last change in it;
    expires: of a list; signer: the key's SHA-256."""

    name: str
    kind: str
    file: str
    imported: str
    made: str
    expires: str | None
    entries: int
    signer: str | None = None

    @property
    def days(self) -> int | None:
        """How old its content is; None where its date does not read."""
        try:
            return max(0, (datetime.now(UTC).date() - date.fromisoformat(self.made[:10])).days)
        except ValueError:
            return None

    @property
    def expired(self) -> bool:
        """Whether the day on which it ends has passed."""
        return self.expires is not None and self.expires < datetime.now(UTC).date().isoformat()


@dataclass(frozen=True)
class Known:
    """A model on a list. kind: "sha256" or "repository"."""

    kind: str
    value: str
    list: str
    reason: str
    reference: str | None


class Broken(Exception):
    """The database cannot be read. The text is a clause."""


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's data folder: $SAFE_LOAD_HOME, $XDG_DATA_HOME/safe-load, ~/.local/share/safe-load. Raises
    UsageError."""
    if chosen := environ.get("SAFE_LOAD_HOME"):
        return Path(chosen)
    data = Path(environ.get("XDG_DATA_HOME", ""))
    try:
        # The specification of base directories: a relative path is to be ignored.
        data = data if data.is_absolute() else Path("~/.local/share").expanduser()
    except RuntimeError as error:
        raise UsageError(
            "there is no home folder for the advisories: set SAFE_LOAD_HOME to a folder"
        ) from error
    return data / "safe-load"


def add_osv(path: Path) -> Import:
    """Import a dump of OSV's, whole or not at all. What it withdraws is taken out. Raises UsageError, LimitHit."""
    name = f"osv:{path.name}"
    entries, newest = 0, ""
    with _writing() as base:
        for advisory in osv.read(path):
            if advisory is None:
                continue
            newest = max(newest, advisory.modified[:40])
            key = (advisory.ecosystem, advisory.package, advisory.ident)
            if advisory.withdrawn:
                base.execute("DELETE FROM packages WHERE ident = ?", (advisory.ident,))
                continue
            entries += 1
            base.execute(
                "INSERT OR REPLACE INTO packages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *key,
                    advisory.modified,
                    advisory.malicious,
                    advisory.summary,
                    json.dumps(advisory.versions),
                    advisory.every,
                    json.dumps(advisory.ranges),
                ),
            )
        if not newest:
            raise UsageError(
                f"{path} holds no advisory on a package of {' or '.join(osv.ECOSYSTEMS)}"
            )
        done = Import(name, "osv", str(path.absolute()), _now(), newest, None, entries)
        _note(base, done, _digest(path))
    return done


def add_list(path: Path, key: Path | None) -> Import:
    """Import a signed list of models in the place of an older one of that name. Raises UsageError, also for a list that
    is older than the one that is there, WrongSignature, LimitHit."""
    found, data = known_bad.read(path, key)
    signer = hashlib.sha256(Path(str(key)).read_bytes()).hexdigest()
    name = f"models:{found.name}"
    made = found.made.isoformat()
    with _writing() as base:
        held = base.execute("SELECT made, signer FROM imports WHERE name = ?", (name,)).fetchone()
        if held is not None and held[0] > made:
            raise UsageError(
                f"{path} was made on {made}, and the list {visible(found.name)!r} that is there on {held[0]}: an older "
                "list does not take its place"
            )
        if held is not None and held[1] != signer:
            raise UsageError(
                f"{path} is signed by another key than the list {visible(found.name)!r} that is there: remove that one "
                f"first, `safe-load advisories remove {visible(name)}`"
            )
        base.execute("DELETE FROM models WHERE list = ?", (found.name,))
        base.executemany(
            "INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?, ?)",
            [(*_subject(each), found.name, each.reason, each.reference) for each in found.models],
        )
        done = Import(
            name,
            "models",
            str(path.absolute()),
            _now(),
            made,
            found.expires.isoformat(),
            len(found.models),
            signer,
        )
        _note(base, done, hashlib.sha256(data).hexdigest())
    return done


def remove(name: str) -> bool:
    """Take an import out; of OSV's dumps all packages, for they say nothing of each other. Returns whether it was
    there. Raises UsageError, LimitHit."""
    with _writing() as base:
        row = base.execute("SELECT kind FROM imports WHERE name = ?", (name,)).fetchone()
        if row is None:
            return False
        if row[0] == "osv":
            base.execute("DELETE FROM packages")
            base.execute("DELETE FROM imports WHERE kind = 'osv'")
        else:
            base.execute("DELETE FROM models WHERE list = ?", (name.removeprefix("models:"),))
            base.execute("DELETE FROM imports WHERE name = ?", (name,))
        return True


def imports() -> list[Import]:
    """What was imported, the newest first; [] where there is no database. Raises Broken."""
    with _reading() as base:
        if base is None:
            return []
        rows = base.execute(
            "SELECT name, kind, file, imported, made, expires, entries, signer FROM imports ORDER BY imported DESC, name"
        ).fetchall()
    return [Import(*row) for row in rows]


def stamp() -> tuple[int, ...]:
    """What changes whenever the lists do, or the day."""
    try:
        status = (folder() / NAME).stat()
    except (OSError, UsageError):
        return ()
    return status.st_mtime_ns, status.st_size, datetime.now(UTC).date().toordinal()


def models(digests: Collection[str], *names: str) -> list[Known]:
    """The models on lists that have one of these SHA-256, or one of these repositories' names. Raises Broken."""
    wanted = [("sha256", digest) for digest in sorted(set(digests))]
    wanted += [("repository", name) for name in sorted({name.casefold() for name in names})]
    found: list[Known] = []
    with _reading() as base:
        if base is None:
            return []
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            places = ", ".join(["(?, ?)"] * len(some))
            rows = base.execute(
                f"SELECT kind, value, list, reason, reference FROM models WHERE (kind, value) IN (VALUES {places})",  # noqa: S608 - question marks only
                [text for pair in some for text in pair],
            )
            found += [Known(*row) for row in rows]
    return found


def packages(ecosystem: str, name: str) -> list[osv.Advisory]:
    """The advisories on a package, those on malicious ones first. Raises Broken."""
    with _reading() as base:
        if base is None:
            return []
        rows = base.execute(
            "SELECT ident, modified, malicious, summary, versions, every, ranges FROM packages "
            "WHERE ecosystem = ? AND package = ? ORDER BY malicious DESC, ident",
            (ecosystem, osv.normal(ecosystem, name)),
        ).fetchall()
    return [
        osv.Advisory(
            ident,
            modified,
            False,
            bool(malicious),
            summary,
            ecosystem,
            osv.normal(ecosystem, name),
            tuple(json.loads(versions)),
            bool(every),
            tuple(json.loads(ranges)),
        )
        for ident, modified, malicious, summary, versions, every, ranges in rows
    ]


def _subject(bad: Bad) -> tuple[str, str]:
    if bad.sha256 is not None:
        return "sha256", bad.sha256
    return "repository", (bad.repository or "").casefold()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _note(base: sqlite3.Connection, done: Import, digest: str) -> None:
    base.execute(
        "INSERT OR REPLACE INTO imports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            done.name,
            done.kind,
            done.file,
            digest,
            done.imported,
            done.made,
            done.expires,
            done.entries,
            done.signer,
        ),
    )


@contextmanager
def _writing() -> Iterator[sqlite3.Connection]:
    """One transaction on the database, which is made where there is none. Raises UsageError for one that cannot
    be written, LimitHit for a full disk."""
    place = folder() / NAME
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(sqlite3.connect(place, timeout=_BUSY, isolation_level=None)) as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                version = base.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in _TABLES.split(";"):
                        base.execute(statement)
                    base.execute(f"PRAGMA user_version = {_VERSION}")
                elif version != _VERSION:
                    raise UsageError(
                        f"{place} is of another version of safe-load: remove it and import again"
                    )
                yield base
                base.execute("COMMIT")
            except BaseException:
                if base.in_transaction:
                    base.execute("ROLLBACK")
                raise
    except sqlite3.OperationalError as error:
        if "full" in str(error):
            raise LimitHit(f"no disk space for the advisories in {place}") from error
        raise UsageError(f"the advisories in {place} cannot be written: {error}") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise UsageError(f"the advisories in {place} cannot be used: {error}") from error


@contextmanager
def _reading() -> Iterator[sqlite3.Connection | None]:
    """The database, for reading only; None where there is none."""
    try:
        place = folder() / NAME
    except UsageError as error:
        raise Broken(str(error)) from error
    if not place.exists():
        yield None
        return
    try:
        address = f"{place.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_BUSY)) as base:
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:  # made by an import that failed
                yield None
                return
            if version != _VERSION:
                raise Broken(f"{place} is of another version of safe-load")
            yield base
    except (sqlite3.Error, OSError, ValueError) as error:
        raise Broken(f"{place} cannot be read: {visible(str(error), 200)}") from error
