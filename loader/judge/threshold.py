"""Which findings reject a source. Zone: controller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.core.report import SEVERITIES

if TYPE_CHECKING:
    from safe_load.core.fail_on import FailOn
    from safe_load.core.report import Finding

#: What the user's own policy requires: it rejects whatever the lowest severity is that does.
REQUIREMENTS = frozenset({"SL704", "SL705", "SL713", "SL715"})


def counts(found: Finding, threshold: FailOn) -> bool:
    """Whether a finding rejects the source where this is the lowest severity that does."""
    if found.id in REQUIREMENTS:
        return True
    return threshold != "never" and SEVERITIES.index(found.severity) >= SEVERITIES.index(threshold)
