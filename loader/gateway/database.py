"""The SQLite file of a gateway: how it is opened, changed and asked. Zone: controller."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from safe_load.core.errors import UsageError
from safe_load.gateway.records import Model, RecordsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from safe_load.gateway.records import Row

VERSION = 4
SCHEMA = Path(__file__).with_name("schema.sql")
#: What the formats before lack.
CHANGES = {
    1: "create index models_to_judge on models (policy, attempts, id) where state = 'queued';",
    2: "alter table models add column owner integer; create table secrets (name text primary key, value text not null);",
    3: "drop index if exists models_to_judge; "
    "create index models_to_judge on models (policy, asked_by, attempts, id) where state = 'queued';",
}


class Database:
    """What `Store` asks, in SQLite. Use it as a context manager."""

    #: Whether other gateways use it at the same time.
    shared = False
    #: Of a model that is running: nobody judges it any more.
    _ORPHANED = "true"
    #: Of a model that this gateway judges.
    _MINE = "(owner is null or owner=?)"
    #: What is added to a question, so that nobody else gets the row, or changes it, until this step is done.
    _CLAIM = _SHARE = ""
    #: Who this gateway is in a column "owner".
    _owner: int | None = None

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        self._db.row_factory = sqlite3.Row
        # FULL: what a client was told is on the disk, also after the power fails.
        for pragma in (
            "journal_mode=wal",
            "synchronous=full",
            "foreign_keys=on",
            "trusted_schema=off",
        ):
            self._db.execute(f"pragma {pragma}")
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version not in range(VERSION + 1):
            raise UsageError(
                f"{path} was written by another version of safe-load (format {version})"
            )
        if version < VERSION:
            changes = (
                [CHANGES[each] for each in range(version, VERSION)]
                if version
                else [SCHEMA.read_text("utf-8")]
            )
            script = "\n".join(["begin;", *changes, f"pragma user_version={VERSION};", "commit;"])
            self._db.executescript(script)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    @contextmanager
    def _changing(self) -> Iterator[Any]:
        try:
            with closing(self._db.cursor()) as cursor:
                cursor.execute("begin immediate")
                try:
                    yield lambda text, *values: cursor.execute(text, values)
                    cursor.execute("commit")
                except BaseException:
                    if (
                        self._db.in_transaction
                    ):  # SQLite takes back by itself what the disk had no room for
                        cursor.execute("rollback")
                    raise
        except sqlite3.Error as error:
            raise RecordsError(str(error)) from error

    def _execute(self, text: str, *values: object) -> Any:
        try:
            return self._db.execute(text, values)
        except sqlite3.Error as error:
            raise RecordsError(str(error)) from error

    def _one(self, text: str, *values: object) -> Row | None:
        row: Row | None = self._execute(text, *values).fetchone()
        return row

    def _all(self, text: str, *values: object) -> list[Row]:
        rows: list[Row] = self._execute(text, *values).fetchall()
        return rows

    def _model(self, text: str, *values: object) -> Model | None:
        row = self._one(text, *values)
        return None if row is None else Model(**dict(row))
