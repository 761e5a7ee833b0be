"""Workers that write what they like where their result is expected."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def say(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Write these bytes, repeated, to every pipe there is, and leave with a good status."""
    data = (
        argument["head"].encode()
        + argument["body"].encode() * argument["times"]
        + argument["tail"].encode()
    )
    for descriptor in range(3, 64):
        if descriptor in outputs:
            continue
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError:
            continue
    os._exit(argument.get("status", 0))


def deep(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Return something nested too deeply for our own encoder."""
    value: dict[str, Any] = {}
    for _ in range(100_000):
        value = {"a": value}
    return value


def not_json(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    return {"function": deep}


def no_object(argument: dict[str, Any], outputs: Sequence[int]) -> Any:
    return [1, 2, 3]


def lying_exception(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    class Lie(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    raise Lie
