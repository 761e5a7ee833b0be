"""Replace functions of other libraries for a while, and put back exactly what was there.

Zone: the caller's process. Nothing here knows what is replaced, or why.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(frozen=True)
class Patch:
    """owner.name is replaced. owner: a class or a module."""

    owner: Any
    name: str
    replacement: object


class Patches:
    """Replacements that stand as long as anyone, in any thread, is within `installed`.

    find: what to replace, asked each time that the first one enters.
    """

    def __init__(self, find: Callable[[], Iterable[Patch]]) -> None:
        self._find = find
        self._lock = Lock()
        self._users = 0
        self._originals: list[Patch] = []

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The replacements stand within this block, which may be entered many times at once."""
        with self._lock:
            if self._users == 0:
                self._install(self._find())
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._restore()

    def extend(self, patches: Iterable[Patch]) -> None:
        """Replace more, where replacements stand; nothing where none do."""
        with self._lock:
            if self._users > 0:
                self._install(patches)

    def _install(self, patches: Iterable[Patch]) -> None:
        try:
            for patch in patches:
                # As it stands there: a classmethod, and not what it gives when it is asked for.
                original = Patch(patch.owner, patch.name, vars(patch.owner)[patch.name])
                setattr(patch.owner, patch.name, patch.replacement)
                self._originals.append(original)
        except BaseException:
            self._restore()
            raise

    def _restore(self) -> None:
        while self._originals:
            original = self._originals.pop()
            setattr(original.owner, original.name, original.replacement)


def everywhere(function: Callable[..., Any], replacement: Callable[..., Any]) -> Iterator[Patch]:
    """A patch for each loaded module that holds this function, under whatever name."""
    for module in list(sys.modules.values()):
        # Not `hasattr`: a lazy module would import itself for the question.
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is function:
                yield Patch(module, name, replacement)
