"""What installed packages do when they are imported is not the model's doing. Zone: controller.

Some libraries look up a host name or write settings when they are imported. The room that opens a model
beside the packages that its pickles name records that too. So a room without the model imports the same
packages, and what happened there word for word is no finding. Only acts are excused of which the finding
says everything that matters: no read of credentials, nothing that was sent, no forbidden system call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.judge.behaviour import SENT, behaviour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.core.report import Egress, Event, Finding

_EXCUSABLE = frozenset({"SL101", "SL201", "SL202", "SL203", "SL302", "SL303"})
_MOST_ACTS = 10


def excused(
    findings: Sequence[Finding],
    events: Sequence[Event],
    stage: str,
    alone: Sequence[Event],
    heard: Sequence[Egress],
) -> tuple[list[Finding], list[str]]:
    """The findings that are the model's, and a note on the others.

    Args:
        findings: what was found in the events.
        events: what all rooms recorded that were shown the model.
        stage: the stage of the room that had the packages.
        alone: what the room recorded that imported them without the model.
        heard: what the sinkhole of that room heard.
    """
    known = {
        (found.id, found.detail, found.location)
        for found in behaviour(alone, heard).findings
        if found.id in _EXCUSABLE and not found.detail.startswith(SENT)
    }
    left: list[Finding] = []
    acts: list[str] = []
    for found in findings:
        there = all(events[index].stage == stage for index in found.evidence)
        if found.evidence and there and (found.id, found.detail, found.location) in known:
            acts.append(found.detail.removeprefix("The model "))
        else:
            left.append(found)
    if not acts:
        return left, []
    more = f" and {len(acts) - _MOST_ACTS} more acts" if len(acts) > _MOST_ACTS else ""
    listed = "; ".join(acts[:_MOST_ACTS]) + more
    return left, [
        f"these acts are no finding, since importing the installed packages does the same without the model: {listed}"
    ]
