"""What the families of honest objects are made with."""

# mypy: ignore-errors
# Half of these libraries are not installed where types are checked, and the other half has none.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Objects = Iterator[tuple[str, Any]]


def tried(make: Callable[[], Any]) -> Any:
    """What it makes, None where the library will not."""
    try:
        return make()
    except Exception:  # noqa: BLE001 - classes want arguments of their own
        return None


class Holder:
    """An object of the user's own, which holds what it is given."""

    def __init__(self, value: object) -> None:
        self.value = value


def weightless(make: Callable[[], Any]) -> Any:
    """A model without numbers, None where the library will not."""
    import torch

    with torch.device("meta"):
        return tried(make)
