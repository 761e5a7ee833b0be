"""Call hostile code and survive whatever Python-level thing it does. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Characters of the longest error text that leaves the room.
MAX_ERROR = 500


def attempt(action: Callable[[], T]) -> tuple[T | None, str | None]:
    """What `action` returns and None, or None and one line that says what it raised.

    Everything is caught, SystemExit and KeyboardInterrupt too: a payload that raises must not keep
    the rest of the model from being seen.
    """
    try:
        return action(), None
    except BaseException as error:  # noqa: BLE001 - hostile code may raise anything, see above
        return None, one_line(error)


def one_line(error: BaseException) -> str:
    """The error as "Type: message" on one line of at most MAX_ERROR characters."""
    name = type.__dict__["__name__"].__get__(type(error))
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - a hostile __str__
        text = "(its message cannot be read)"
    line = " ".join(f"{name}: {text[: 4 * MAX_ERROR]}".split())
    # Lone surrogates would not survive being sent as JSON.
    return line[:MAX_ERROR].encode("utf-8", "replace").decode("utf-8")
