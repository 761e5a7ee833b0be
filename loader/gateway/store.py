"""What a gateway knows: names, models with their verdicts, exceptions, and who did what. One SQLite file.

`SharedStore` of postgres.py keeps the same in a database that several gateways use.
Zone: controller. All calls come from one thread. Each method that changes something is one transaction, so that a
process that is killed at any moment leaves either all of a step or nothing; `release` puts back into the queue what
was being judged then.
"""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from safe_load.gateway.database import Database
from safe_load.gateway.records import STATES, File, Model
from safe_load.gateway.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.gateway.records import Judged, Row, State

#: Rows of one page.
PAGE = 100
_LONGEST_SENTENCE = 1000
_AUDIT = "insert into audit (at, who, act, about, detail)"
_QUEUED_AGAIN = (
    "update models set state='queued', stage=null, owner=null where id=? and state='running' and "
)


class Store(Database):
    """What a gateway keeps besides files. Use it as a context manager. Methods raise RecordsError where the disk is full or broken."""

    @cached_property
    def _turns(self) -> Turns:
        return Turns()

    # --- names

    def name(self, repo: str, revision: str) -> tuple[str, float] | None:
        """The commit that a name last stood for, and when the hub said so."""
        row = self._one(
            "select commit_id, checked from names where repo=? and revision=?", repo, revision
        )
        return None if row is None else (row[0], row[1])

    def note_name(self, repo: str, revision: str, commit: str) -> None:
        """The hub has just said that the name stands for this commit."""
        now = time.time()
        with self._changing() as run:
            run(
                "insert into names values (?,?,?,?) on conflict (repo, revision) do update set "
                "commit_id=excluded.commit_id, checked=excluded.checked",
                repo,
                revision,
                commit,
                now,
            )
            run("insert into moves values (?,?,?,?) on conflict (repo, revision, commit_id) do update set "
                "at=excluded.at", repo, revision, commit, now)  # fmt: skip

    def last_cleared(self, repo: str, revision: str, policy: str) -> Model | None:
        """The newest model that is cleared, of those that the name has stood for."""
        return self._model(
            "select models.* from moves cross join models using (repo, commit_id) where moves.repo=? and "  # in this order
            "revision=? and policy=? and state='cleared' order by at desc limit 1",
            repo, revision, policy,
        )  # fmt: skip

    def refs(self, repo: str, policy: str) -> list[tuple[str, str]]:
        """Each name of a repository that stands for a cleared model, and that model's revision."""
        rows = self._all(
            "select revision, cleared_as from names cross join models using (repo, commit_id) where names.repo=? "
            "and policy=? and state='cleared' and revision<>commit_id order by revision limit 1000",
            repo, policy,
        )  # fmt: skip
        return [(row[0], row[1]) for row in rows]

    # --- models

    def model(self, repo: str, commit: str, policy: str) -> Model | None:
        """The model of a commit, in whatever state."""
        return self._model(
            "select * from models where repo=? and commit_id=? and policy=?", repo, commit, policy
        )

    def by_id(self, ident: int) -> Model | None:
        """The model with that number."""
        return self._model("select * from models where id=?", ident)

    def by_revision(self, repo: str, revision: str, policy: str) -> Model | None:
        """The cleared model that is served as this revision of the repository."""
        return self._model(
            "select * from models where cleared_as=? and repo=? and policy=? and state='cleared'",
            revision, repo, policy,
        )  # fmt: skip

    def made_again(self, repo: str, revision: str, policy: str) -> Model | None:
        """The model that was served as this revision of the repository, and is judged again at present."""
        return self._model(
            "select * from models where cleared_as=? and repo=? and policy=? and state in ('queued', 'running')",
            revision, repo, policy,
        )  # fmt: skip

    def queue(self, repo: str, commit: str, policy: str, who: str) -> Model:
        """The model, queued if it was not known, or if it had failed."""
        now = time.time()
        with self._changing() as run:
            run(
                "insert into models (repo, commit_id, policy, state, asked_by, asked) values (?,?,?,'queued',?,?) "
                "on conflict (repo, commit_id, policy) do update set state='queued', asked=excluded.asked, "
                "asked_by=excluded.asked_by, attempts=0, again=null where models.state='failed'",
                repo, commit, policy, who, now,
            )  # fmt: skip
            run(f"{_AUDIT} values (?,?,'ask',?,?)", now, who, repo, commit)
        model = self.model(repo, commit, policy)
        assert model is not None  # noqa: S101 - written above
        return model

    def again(self, ident: int, who: str) -> None:
        """Put a model that was judged, or that failed, back into the queue."""
        with self._changing() as run:
            run(
                "delete from verdicts where model=? and exists (select 1 from models where id=? and "
                "state not in ('queued', 'running'))", ident, ident,
            )  # fmt: skip
            run(
                "update models set state='queued', attempts=0, again=null where id=? and "
                "state not in ('queued', 'running')", ident,
            )  # fmt: skip
            run(
                f"{_AUDIT} select ?,?,'again',repo,commit_id from models where id=?",  # noqa: S608 - a constant
                time.time(), who, ident,
            )  # fmt: skip

    def release(self) -> int:
        """Put back into the queue what a gateway that ended was judging. Returns how many."""
        done = self._execute(
            f"update models set state='queued', stage=null, owner=null where state='running' and {self._ORPHANED}"  # noqa: S608
        )
        return int(done.rowcount)

    def begin(self, policy: str) -> int:
        """A gateway starts, with that policy. Returns how many models `release` put back."""
        released = self.release()
        with self._changing() as run:
            # What waits under a policy that is not in force would never be judged: it is asked for again.
            run("update models set state='failed', again=0, sentence='the policy changed before it was judged' "
                "where state='queued' and policy<>?", policy)  # fmt: skip
        return released

    def start(self, policy: str) -> Model | None:
        """The next model of the queue, which is running from now on. Those who asked take turns. One that ended a gateway
        with it, or that could not be judged, comes after those that were not tried as often."""
        with self._changing() as run:
            ident = self._turns.following(run, policy, self._CLAIM)
            if ident is None:
                return None
            run("update models set state='running', started=?, attempts=attempts+1, stage=null, owner=? where id=?",
                time.time(), self._owner, ident)  # fmt: skip
        return self.by_id(ident)

    def note_stage(self, ident: int, stage: str) -> None:
        """How far a running model has come."""
        self._execute("update models set stage=? where id=? and state='running'", stage, ident)

    def requeue(self, ident: int) -> None:
        """A model that could not be judged this time."""
        self._execute(_QUEUED_AGAIN + self._MINE, ident, self._owner)

    def hold(self, key: str) -> bool:  # noqa: ARG002 - for stores that are shared
        """Whether the bytes of that key are this gateway's to judge, until `drop`."""
        return True

    def drop(self, key: str) -> None:
        """Leave the bytes of that key to others."""

    def ended(self, idents: Sequence[int]) -> list[int]:
        """Those of the models that are judged, or have failed."""
        marks = ",".join("?" * len(idents))
        rows = self._all(
            f"select id from models where id in ({marks}) and state not in ('queued', 'running')",  # noqa: S608
            *idents,
        )
        return [row[0] for row in rows]

    def known(self, key: str) -> Model | None:
        """The model of the same bytes that was judged under the same policy."""
        return self._model("select models.* from verdicts join models on id=model where key=?", key)

    def end(self, ident: int, judged: Judged) -> bool:
        """Note how a model ended, and all that goes with it. False: it is to be judged again, because another gateway
        has it by now, or because an exception ended that it was cleared with."""
        now, today = time.time(), datetime.now(UTC).date().isoformat()
        with self._changing() as run:
            for found in judged.findings:
                if (
                    found[5]
                    and not run(
                        f"select 1 from exceptions where finding=? and sha256=? and ended is null and until>=?{self._SHARE}",  # noqa: S608
                        *found[:2],
                        today,
                    ).fetchone()
                ):
                    run(_QUEUED_AGAIN + self._MINE, ident, self._owner)
                    return False
            before = run("select content from models where id=?", ident).fetchone()
            done = run(
                "update models set state=?, stage=null, verdict=?, sentence=?, content=?, cleared_as=?, report=?, "  # noqa: S608
                "ended=?, again=?, until=?, owner=null where id=? and " + self._MINE,
                judged.state, judged.verdict, judged.sentence[:_LONGEST_SENTENCE], judged.content,
                judged.cleared_as, judged.report, now, judged.again, judged.until, ident, self._owner,
            )  # fmt: skip
            if not done.rowcount:
                return False
            if judged.state == "rejected" and judged.key is not None and before is not None:
                # It was cleared before, and is rejected now: the same bytes are not served under other names either.
                run("update models set state='queued', attempts=0, again=null where state='cleared' and content=?",
                    before[0])  # fmt: skip
            run("delete from findings where model=?", ident)
            for found in judged.findings:
                run("insert into findings values (?,?,?,?,?,?,?)", ident, *found[:5], int(found[5]))
            for file in judged.files:
                run(
                    "insert into files values (?,?,?,?) on conflict do nothing",
                    judged.content,
                    file.path,
                    file.size,
                    file.sha256,
                )
            if judged.key is not None:
                run("insert into verdicts values (?,?) on conflict (key) do update set model=excluded.model",
                    judged.key, ident)  # fmt: skip
            run(f"{_AUDIT} select ?,'gateway',?,repo,? from models where id=?",  # noqa: S608 - a constant
                now, judged.state, judged.sentence[:_LONGEST_SENTENCE], ident)  # fmt: skip
        return True

    def findings(self, ident: int) -> list[tuple[str, str, str, str, str, bool]]:
        """Those of a model that an exception can cover, as `Judged` has them."""
        rows = self._all(
            "select finding, sha256, severity, title, location, accepted from findings where model=?",
            ident,
        )
        return [(row[0], row[1], row[2], row[3], row[4], bool(row[5])) for row in rows]

    def before(self, ident: int) -> int:
        """How many models are judged before this one."""
        row = self._one(
            "select count(*) from models where state in ('queued', 'running') and id<?", ident
        )
        return int(row[0]) if row else 0

    def waiting(self, who: str | None = None) -> int:
        """How many models are queued, of all, or of those that one asked for. Looks at these alone, unlike `counts`."""
        question = "select count(*) from models where state='queued'"
        row = self._one(question) if who is None else self._one(f"{question} and asked_by=?", who)
        return int(row[0]) if row else 0

    def counts(self) -> dict[State, int]:
        """How many models there are in each state."""
        found: dict[State, int] = dict.fromkeys(STATES, 0)
        for row in self._all("select state, count(*) from models group by state"):
            found[row[0]] = row[1]
        return found

    def search(self, text: str, state: str | None, below: int | None) -> list[Model]:
        """Models whose name holds the text, the newest first, at most a page of them. below: their numbers."""
        where, values = ["true"], list[Any]()
        if text:
            where.append("lower(repo) like ? escape '!'")
            values.append("%" + re.sub("([!%_])", r"!\1", text.lower()) + "%")
        if state in STATES:
            where.append("state=?")
            values.append(state)
        if below is not None:
            where.append("id<?")
            values.append(below)
        rows = self._all(
            f"select * from models where {' and '.join(where)} order by id desc limit {PAGE}",  # noqa: S608 - only the texts above
            *values,
        )
        return [Model(**dict(row)) for row in rows]

    # --- files

    def file(self, content: str, path: str) -> File | None:
        """One file of a cleared folder."""
        row = self._one(
            "select path, size, sha256 from files where content=? and path=?", content, path
        )
        return None if row is None else File(*row)

    def files(self, content: str) -> list[File]:
        """All files of a cleared folder, by path."""
        rows = self._all(
            "select path, size, sha256 from files where content=? order by path", content
        )
        return [File(*row) for row in rows]

    def contents(self) -> set[str]:
        """The folders that models were cleared into."""
        return {
            row[0]
            for row in self._all("select distinct content from models where content is not null")
        }

    def reports(self) -> set[str]:
        """The saved reports of models."""
        return {
            row[0]
            for row in self._all("select distinct report from models where report is not null")
        }

    # --- exceptions

    def exceptions(self, *, ended: bool = False) -> list[Row]:
        """The exceptions in force, or all of them: the newest first."""
        where = "" if ended else "where ended is null"
        return self._all(f"select * from exceptions {where} order by id desc limit 1000")  # noqa: S608 - a constant

    def accept(self, finding: str, sha256: str, reason: str, until: str, who: str) -> None:
        """Add an exception, and have the models that it may clear judged again."""
        now = time.time()
        with self._changing() as run:
            run(
                "insert into exceptions (finding, sha256, reason, until, by, at) values (?,?,?,?,?,?)",
                finding,
                sha256,
                reason,
                until,
                who,
                now,
            )
            run(
                f"{_AUDIT} values (?,?,'accept',?,?)",
                now,
                who,
                f"{finding} of {sha256}",
                f"until {until}: {reason}",
            )
            self._judge_again(run, "rejected", finding, sha256)

    def expire(self, ident: int, who: str) -> None:
        """End an exception. What was cleared with it is not served from now on, and judged again."""
        now = time.time()
        with self._changing() as run:
            row = run(
                "select finding, sha256 from exceptions where id=? and ended is null", ident
            ).fetchone()
            if row is None:
                return
            run("update exceptions set ended=?, ended_by=? where id=?", now, who, ident)
            run(
                f"{_AUDIT} values (?,?,'expire',?,'')",
                now,
                who,
                f"{row[0]} of {row[1]}",
            )
            self._judge_again(run, "cleared", row[0], row[1])

    @staticmethod
    def _judge_again(run: Any, state: State, finding: str, sha256: str) -> None:
        """Queue each model in that state with this finding; of cleared ones, those that needed the exception."""
        chosen = (
            "select model from findings join models on id=model where finding=? and sha256=? and state=? "
            "and accepted=?"
        )
        values = (finding, sha256, state, int(state == "cleared"))
        run(f"delete from verdicts where model in ({chosen})", *values)  # noqa: S608 - a constant
        run(
            f"update models set state='queued', attempts=0, again=null where id in ({chosen})",  # noqa: S608
            *values,
        )

    # --- the log

    def log(self, who: str, act: str, about: str, detail: str = "") -> None:
        """Add a line to the audit log."""
        self._execute(f"{_AUDIT} values (?,?,?,?,?)", time.time(), who, act, about, detail)

    def secret(self) -> bytes:
        """What signs the forms of the pages: the same for all gateways that share this."""
        with self._changing() as run:
            run(
                "insert into secrets values ('forms', ?) on conflict do nothing",
                secrets.token_hex(32),
            )
            return bytes.fromhex(run("select value from secrets where name='forms'").fetchone()[0])

    def audit(self, below: int | None = None) -> list[Row]:
        """The lines of the audit log, the newest first, at most a page of them."""
        return self._all(
            "select * from audit where id<? order by id desc limit ?", below or 1 << 62, PAGE
        )
