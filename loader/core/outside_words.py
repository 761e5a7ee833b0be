"""What others say of a source, as the report tells it: a hub, and lists of known malicious models. Zone: controller."""

from __future__ import annotations

from typing import Literal

import msgspec


class HubWord(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a hub says of a repository: its word, which nobody has checked, and which its owner or the hub may change.

    asked: "yes", or why it was not: "offline", "no answer". name: the repository that the hub answered with; created, changed:
    ISO dates; downloads: of the last thirty days; verified: whether the hub says so of the organisation; scan: the hub's
    own scan of the files: "safe", "unsafe", "in progress" or "none".
    """

    asked: str
    name: str | None = None
    created: str | None = None
    changed: str | None = None
    downloads: int | None = None
    likes: int | None = None
    base_models: list[str] = []
    verified: bool | None = None
    scan: str | None = None


class Advisories(msgspec.Struct, frozen=True):
    """Whether the source was compared with lists of known malicious models. why: of "not checked", and what limits
    "checked"; age_days: of the oldest list; entries: of all lists."""

    state: Literal["checked", "not checked"] = "not checked"
    why: str = ""
    age_days: int | None = None
    entries: int = 0
