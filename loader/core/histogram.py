"""How a tensor's numbers are spread: what a room says of it, bounded, and what a report holds. Zone: controller."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec

_FINITE = msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)
_UP_TO = msgspec.Meta(ge=0, le=(1 << 63) - 1)


class Histogram(msgspec.Struct, frozen=True):
    """How a tensor's numbers are spread. counts: in equal steps from low to high; sampled: how many numbers were
    looked at; not_finite: how many of them are infinite or no number."""

    counts: Annotated[list[Annotated[int, _UP_TO]], msgspec.Meta(max_length=64)]
    low: Annotated[float, _FINITE]
    high: Annotated[float, _FINITE]
    sampled: Annotated[int, _UP_TO]
    not_finite: Annotated[int, _UP_TO] = 0
