"""What a tool did, as findings: the judgement of models' behaviour, and where a tool may do more.

Zone: controller. Starting programs is no finding; reading what is not shown and writing where nothing
may be written are low, as honest programs look around. Credentials, connections that no rule allows and
ways out of the room weigh what they weigh in a model's room.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec
from safe_load.core.escape import visible
from safe_load.judge import behaviour
from safe_load.profiles import rules as tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.core.report import Egress, Event, Finding
    from safe_load.rooms.decoys import Decoys
    from safe_load.tools.relay import Connection
    from safe_load.tools.rules import Rule

#: Findings on what a tool merely tried and was kept from, which honest programs do too.
_LOWERED = frozenset(("SL302", "SL303"))


@dataclass(frozen=True)
class Judged:
    """What a run amounts to. behaviour: egress, processes and decoys, for the report; findings: all."""

    behaviour: behaviour.Behaviour
    findings: list[Finding]


def judge(
    events: Sequence[Event],
    heard: Sequence[Egress],
    decoys: Decoys,
    passed: Sequence[Connection],
    rules: Sequence[Rule],
    own: Iterable[str],
    left: Sequence[str] = (),
    dropped: int = 0,
) -> Judged:
    """Judge one run.

    Args:
        events: What was recorded.
        heard: What the sinkhole took.
        decoys: What was planted.
        passed: Connections that the room handed over.
        rules: What the tool may connect to.
        own: Folders that the tool may read, scratch included.
        left: Names of processes that were still there when the tool had ended.
        dropped: Calls that the record does not keep.
    """
    seen = behaviour.behaviour(events, heard, decoys)
    own_folders = tuple(f"{folder}/" for folder in own)
    led = {_endpoint(each.stand_in, each.port) for each in passed}
    names = {rule.host for rule in rules}
    findings = []
    for found in seen.findings:
        if found.id == "SL101" or (found.id == "SL201" and found.location in led):
            continue
        if found.id == "SL202" and found.location.lower() in names:
            continue
        if found.id == "SL303" and _is_expected(found.location):
            continue
        if found.id == "SL301" and found.location.startswith(own_folders):
            continue
        findings.append(_of_tool(found, decoys))
    findings += [_refused(each) for each in passed if each.decision == "refused"]
    if left:
        findings.append(
            behaviour.finding(
                "SL102",
                f"The tool ended and left running: {visible(', '.join(left), 200)}. They were killed.",
                left[0],
            )
        )
    if dropped:
        findings.append(_of_tool(behaviour.record(dropped)[0], decoys, lowered=True))
    return Judged(seen, findings)


def _of_tool(found: Finding, decoys: Decoys, *, lowered: bool = False) -> Finding:
    """A finding on a model, as it reads and weighs for a tool."""
    severity = found.severity
    if lowered or found.id in _LOWERED or _is_ordinary(found, decoys):
        severity = "low"
    return msgspec.structs.replace(
        found,
        severity=severity,
        title=found.title.replace("The model", "The tool").replace(
            "no load needs", "no tool needs"
        ),
        detail=found.detail.replace("The model", "The tool").replace("this load", "this run"),
    )


def _is_ordinary(found: Finding, decoys: Decoys) -> bool:
    """Whether honest programs do that too. The lists are in profiles/rules/behaviour.toml."""
    table = tables("behaviour")
    if found.id == "SL401":
        forbidden = set(table["calls"]["forbidden"]) - set(table["tools"]["calls"])
        return found.location not in forbidden
    if found.id == "SL203":
        return (
            "wait for connections" in found.detail or found.location in table["tools"]["services"]
        )
    if found.id == "SL301" and found.location not in decoys.titles:
        return any(fnmatchcase(found.location, each) for each in table["tools"]["reads"])
    return False


def _is_expected(path: str) -> bool:
    """Whether any interpreter looks there."""
    return any(fnmatchcase(path, each) for each in tables("behaviour")["tools"]["expected"])


def _refused(connection: Connection) -> Finding:
    where = f"{connection.host}:{connection.port}"
    return behaviour.finding(
        "SL201", f"The tool's connection to {where} was refused: {connection.why}", where
    )


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
