"""One call in a stream, and what a builder may ask of the world that it happens in. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from safe_load.worker.pickle_vm.arguments import fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.callables import Ledger
    from safe_load.worker.pickle_vm.values import Global, Stub


class Calling(Protocol):
    """The world of a call. See stubs.StubEnvironment."""

    ledger: Ledger
    #: How many values may still be looked at for callables.
    held_left: int
    nested: Callable[[object], object] | None

    def call(
        self, func: object, args: tuple[object, ...], kwargs: object, opcode: str, offset: int
    ) -> object:
        """What stands for the result of a call."""

    def build(self, target: object, state: object, offset: int) -> object:
        """What stands for an object that was given state."""

    def hold(self, owner: Stub, value: object, opcode: str, offset: int) -> None:
        """Take note of what an object is given that may be called later."""


class Call:
    """One call in a stream: who, with what, and the world it happens in."""

    __slots__ = ("args", "func", "offset", "opcode", "world")

    def __init__(
        self,
        world: Calling,
        func: Global,
        args: tuple[object, ...],
        opcode: str,
        offset: int,
    ) -> None:
        self.world = world
        self.func = func
        self.args = args
        self.opcode = opcode
        self.offset = offset

    def take(self, least: int, most: int) -> tuple[object, ...]:
        """The arguments, padded with None to `most`. Raises UnexpectedArgument when there are not so many."""
        return tuple(fields(self.args, least, most))
