"""Why nothing is served. Zone: controller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class Refusal(Exception):
    """Why nothing is served. status: of HTTP; code: as the hub's X-Error-Code; again: seconds until it is worth
    asking again, None: for nobody knows how long. commit: that this is about."""

    status: int
    code: str
    sentence: str
    again: int | None = None
    commit: str | None = None
