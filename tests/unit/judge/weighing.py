"""How the tests of the judge have something weighed, and look at what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.judge import behaviour

if TYPE_CHECKING:
    from safe_load.core.report import Event


def found(*events: Event) -> list[tuple[str, str]]:
    return [(each.id, each.severity) for each in behaviour.behaviour(events).findings]
