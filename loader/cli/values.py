"""How the values of settings are read, from a flag, a variable or a file. Each raises ValueError, which says what it
may be. Zone: controller."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from safe_load.core.units import parse_seconds, parse_shard_size, parse_size

#: Bytes. A Python that reads a file as data needs about twenty.
_LEAST_MEMORY = 32 << 20

#: It is written into reports that others read: no more than an address is made of.
_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d{1,5})?/[A-Za-z0-9._~/%?&=+-]{0,500}")

Parser = Callable[[object], Any]


def choice(*allowed: str) -> Parser:
    """One of these words."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return value

    return parse


def text(value: object) -> str:
    """A name."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a name")
    return value


def address(value: object) -> str:
    """The address of a page."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise ValueError(f"{value!r} is not the address of a page: https://HOST/PATH, without '#'")
    return value


def flag(value: object) -> bool:
    """Yes or no."""
    word = str(value).lower()
    if word in ("true", "1", "yes", "on"):
        return True
    if word in ("false", "0", "no", "off"):
        return False
    raise ValueError(f"{value!r} is neither true nor false")


def seconds(value: object) -> float:
    """A time, in seconds."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a time; write e.g. 90, 90s or 5m")
    return parse_seconds(str(value))


def size(value: object) -> int:
    """A size of memory, in bytes."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{value!r} is not a size; write e.g. 8GiB or 512M")
    size = parse_size(str(value))
    if size < _LEAST_MEMORY:
        raise ValueError(
            f"{value!r} is {size} bytes, and no room is built with less than 32 MiB; write e.g. 8GiB"
        )
    return size


def shard_size(value: object) -> int:
    """The size of a file, in bytes."""
    size = parse_shard_size(str(value)) if isinstance(value, str | int) else 0
    if isinstance(value, bool) or not size:
        raise ValueError(f"{value!r} is not the size of a file; write e.g. 5GB or 500MB")
    return size


def names(value: object) -> tuple[str, ...]:
    """Names, as a list or as one text with commas."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    if (
        not isinstance(value, list | tuple)
        or not value
        or not all(isinstance(v, str) for v in value)
    ):
        raise ValueError(f"{value!r} is no list of names; write e.g. google,meta-llama")
    return tuple(value)
