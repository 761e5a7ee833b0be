"""The checks of arguments that a pickle hands to a call. Zone: worker."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")

#: More than any tensor has, and little to go through.
MAX_DIMENSIONS = 64


class UnexpectedArgument(Exception):
    """A call has arguments that no honest pickle gives it."""


def need(condition: object) -> None:
    """Raises UnexpectedArgument unless the condition holds."""
    if not condition:
        raise UnexpectedArgument


def expect(value: object, kind: type[T]) -> T:
    """The value, which is of that class. Raises UnexpectedArgument."""
    if isinstance(value, kind):
        return value
    raise UnexpectedArgument


def fields(value: object, least: int, most: int) -> list[object]:
    """The items of a tuple that has at least and at most so many, padded with None."""
    items: list[object] = list(expect(value, tuple))
    need(least <= len(items) <= most)
    return items + [None] * (most - len(items))


def integer(value: object) -> int:
    """The value as a number from 0 to 2**63 - 1."""
    if type(value) is int and 0 <= value < 1 << 63:
        return value
    raise UnexpectedArgument


def integers(value: object) -> tuple[int, ...]:
    """The value as sizes or strides of a tensor."""
    if isinstance(value, (tuple, list)) and len(value) <= MAX_DIMENSIONS:
        return tuple(integer(item) for item in value)
    raise UnexpectedArgument
