"""What a configuration asks for that only Python's own parser takes: a key twice, half of a character, a number of
thousands of digits. Zone: worker, standard library only.

Nothing of such a file is written anew, but the libraries that read the folder take it, so it is judged.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from safe_load.worker.rewrite import config_requests
from safe_load.worker.rewrite.config_requests import ConfigRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    Find = Callable[[dict[str, Any], str], list[ConfigRequest]]


def asked(data: bytes, where: str, find: Find = config_requests.find) -> list[ConfigRequest]:
    """What it asks for, as a library's parser reads it; nothing where that one does not take it either."""
    try:
        value = _value(data)
    except RecursionError:
        return [_unjudged(where)]
    return find(value, where) if isinstance(value, dict) else []


def unjudged(data: bytes, where: str) -> list[ConfigRequest]:
    """The same for a file that names what is imported wherever it stands: it must be one that is judged."""
    try:
        return [] if _value(data) is None else [_unjudged(where)]
    except RecursionError:
        return [_unjudged(where)]


def too_large(where: str, size: int) -> ConfigRequest:
    """For a file that is longer than is judged."""
    return ConfigRequest(where, f"a file of {size >> 20} MiB", _WHY, "code", "medium")


_WHY = "is more than safe-load judges, and libraries read it: it may name code to import"


def _unjudged(where: str) -> ConfigRequest:
    return ConfigRequest(where, "what it says", _WHY, "code", "medium")


def value(data: bytes) -> Any:
    """What Python makes of it, None for what it does not take, or not as deep as this room does."""
    try:
        return _value(data)
    except RecursionError:
        return None


def _value(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, MemoryError):
        return None
