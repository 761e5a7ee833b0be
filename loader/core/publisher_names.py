"""Names of publishers as options hold them. Zone: controller."""

from __future__ import annotations

import re

from safe_load.core.escape import visible

_NAME = re.compile(r"[\w-][\w.-]{0,95}(?:/[\w-][\w.-]{0,95})?")
_PATTERN = re.compile(r"[\w.*?-]{1,96}")
_MOST = 10_000


def names(value: object) -> tuple[str, ...]:
    """A tuple of ORG or ORG/NAME. Raises ValueError, which says what is wrong."""
    return _checked(value, _NAME, "my-org")


def patterns(value: object) -> tuple[str, ...]:
    """A tuple of ORG, in which * and ? stand for others. Raises ValueError, which says what is wrong."""
    return _checked(value, _PATTERN, "google-*")


def _checked(value: object, pattern: re.Pattern[str], example: str) -> tuple[str, ...]:
    if not isinstance(value, tuple | list):
        shown = visible(repr(value), 80) if isinstance(value, str) else type(value).__name__
        raise ValueError(f"{shown} is not a tuple of names, e.g. ({example!r},)")
    if len(value) > _MOST:
        raise ValueError(f"more than {_MOST:,} names")
    for each in value:
        if not isinstance(each, str) or not pattern.fullmatch(each):
            shown = visible(repr(each), 80) if isinstance(each, str | int) else type(each).__name__
            raise ValueError(f"{shown} is not a publisher's name, e.g. {example!r}")
    return tuple(value)
