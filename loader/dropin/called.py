"""A call of a pickle, and what a closed table has for a name. Zone: the caller's process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Called:
    """One call of a pickle: who is called, with what, and what was given to the result."""

    name: str
    args: tuple[Any, ...] = ()
    keywords: dict[Any, Any] = field(default_factory=dict)
    states: list[Any] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)


def is_special(name: object) -> bool:
    """Whether it is a name that protocols ask for. numpy and torch believe an address in an
    `__array_interface__`, wherever an object has it: what a file holds is never given out under one."""
    return isinstance(name, str) and name.startswith("__") and name.endswith("__")


@dataclass(frozen=True)
class Found:
    """Something that was found, which may be None."""

    value: Any
