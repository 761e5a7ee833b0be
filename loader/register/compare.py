"""Compares the register with the one that was committed: what is new, loosened or changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec
from safe_load.core import typed
from safe_load.core.errors import UsageError
from safe_load.core.escape import visible
from safe_load.register import offers
from safe_load.register.judge import loosened
from safe_load.register.rows import Chain, Row

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 64 << 20
What = Literal["new", "loosened", "changed", "reason", "definition"]


@dataclass(frozen=True)
class Difference:
    """A row that the committed register does not vouch for. old: the row that it has for the name."""

    what: What
    row: Row
    old: Row | None
    told: str


@dataclass(frozen=True)
class Comparison:
    """red: what fails the check, worst first; better: rows that are pinned now; gone: rows that are no more."""

    red: list[Difference]
    better: list[Row]
    gone: list[Row]


def load(path: Path) -> Chain:
    """A register that was written before. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(
            f"the register {str(path)!r} cannot be read: {error.strerror}. `safe-load register` writes it; commit it then"
        ) from None
    if len(data) > _LARGEST:
        raise UsageError(f"the register {str(path)!r} is larger than {_LARGEST >> 20} MiB")
    try:
        return typed.decode(data, Chain)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(
            f"{str(path)!r} is no register of safe-load: {visible(str(error), 200)}"
        ) from None


def compare(old: Chain, new: Chain) -> Comparison:
    """What differs. Places do not count: code that moves changes no link."""
    held: dict[tuple[str, str], list[Row]] = {}
    for row in old.rows:
        held.setdefault((row.kind, row.name), []).append(row)
    now = {(row.kind, row.name) for row in new.rows}
    red: list[Difference] = []
    better: list[Row] = []
    for row in new.rows:
        before = held.get((row.kind, row.name))
        if not before:
            red.append(
                Difference(
                    "new", row, None, f"{row.kind} {row.name} is not in the committed register"
                )
            )
            continue
        red += [
            Difference("definition", row, before[0], said)
            for said in offers.differences(row, before)
        ]
        same = [each for each in before if each.pin == row.pin]
        if same:
            red += _reasons(row, same[0])
            continue
        tightest = min(
            before, key=lambda each: {"pinned": 0, "unknown": 1, "floating": 2}[each.pin.state]
        )
        if loosened(tightest.pin.state, row.pin.state):
            red.append(
                Difference(
                    "loosened",
                    row,
                    tightest,
                    f"{row.name} was {told(tightest)}, and is {told(row)}",
                )
            )
        elif row.pin.state == "pinned" and tightest.pin.state != "pinned":
            red += _reasons(row, tightest)
            better.append(row)
        else:
            red.append(
                Difference(
                    "changed", row, tightest, f"{row.name} was {told(tightest)}, and is {told(row)}"
                )
            )
    gone = [row for row in old.rows if (row.kind, row.name) not in now]
    return Comparison(red, better, gone)


def _reasons(row: Row, before: Row) -> list[Difference]:
    """What speaks against the link now and did not: a credential more, code that is run, a key in its link."""
    more = [reason for reason in row.reasons if reason not in before.reasons]
    return [Difference("reason", row, before, f"{row.name}: {'; '.join(more)}")] if more else []


def told(row: Row) -> str:
    """A pin in words: "pinned to 1.0.15", "floating (main)"."""
    value = row.pin.value
    if row.pin.state == "pinned":
        return f"pinned to {value}"
    return f"{row.pin.state} ({value})" if value else row.pin.state
