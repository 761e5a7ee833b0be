"""What a hub said of a repository, as the report tells it. Zone: controller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from safe_load.core.escape import visible
from safe_load.core.outside_words import HubWord

if TYPE_CHECKING:
    from safe_load.sources.hub.process import Answer


def of(found: Answer) -> HubWord:
    """What the hub said of the repository, or that it was not asked."""
    if found.cached is not None:
        return HubWord("offline" if found.cached == "offline" else "no answer")
    if found.facts is None:
        return HubWord("no answer")
    facts = msgspec.structs.asdict(found.facts)
    return HubWord("yes", **{key: _shown(value) for key, value in facts.items()})


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [visible(each, 200) for each in value]
    return visible(value, 200) if isinstance(value, str) else value
