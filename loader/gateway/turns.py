"""Whose model is judged next: those who asked for models that wait take turns.

Zone: controller. Nobody waits for all that somebody else has asked for.
"""

from __future__ import annotations

from typing import Any

#: Who asked for models that wait, found without looking at each of these.
_ASKERS = (
    "with recursive askers(who) as (select min(asked_by) from models where state='queued' and policy=? union all "
    "select (select min(asked_by) from models where state='queued' and policy=? and asked_by>who) from askers "
    "where who is not null) select who from askers where who is not null"
)

_HEAD = "select id, attempts from models where state='queued' and policy=? and asked_by=? order by attempts, id limit 1"


class Turns:
    """What one gateway knows of them; another one begins anew."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def following(self, run: Any, policy: str, claim: str) -> int | None:
        """The number of the model that is next. run: asks the database; claim: what is added to a question, so that no
        other gateway gets the row. One that was tried before comes after those that were not tried as often."""
        heads = []
        for (who,) in run(_ASKERS, policy, policy).fetchall():
            row = run(_HEAD + claim, policy, who).fetchone()
            if row is not None:
                heads.append((row[1], self._last.get(who, 0), row[0], who))
        if not heads:
            return None
        *_, ident, who = min(heads)
        self._last[who] = max(self._last.values(), default=0) + 1
        return int(ident)
