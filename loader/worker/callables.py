"""Which callables a pickle may name without a word, and the record of all others. Zone: worker."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from safe_load.worker.describe import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Entries that one file may add to the record; further ones are only counted.
MAX_ENTRIES = 1000
#: Calls of one callable in one member that are listed with their arguments.
MAX_CALLS = 8
#: Characters of a callable's name.
MAX_NAME = 300


class Allowlist:
    """Names and patterns of ordinary callables.

    patterns: dotted names. One that ends in ".*" stands for the classes of a module and of those
    below it: single identifiers that begin with a capital letter, so that neither the functions of
    such a module nor what it happens to import (`torch.optim.os`) come with it. Another * stands
    for a part of a module's name.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._names = set()
        self._modules = []
        for pattern in patterns:
            if pattern.endswith(".*"):
                self._modules.append(pattern[:-2])
            else:
                self._names.add(pattern)

    def names(self, name: str) -> bool:
        """Whether this very dotted name is listed."""
        return name in self._names

    def __contains__(self, callable_: tuple[str, str]) -> bool:
        """callable_: (module, attribute)."""
        module, attribute = callable_
        if f"{module}.{attribute}" in self._names:
            return True
        # A dotted module of a pickle is one string, a dotted attribute is a chain of getattr.
        if not (attribute.isidentifier() and attribute.lstrip("_")[:1].isupper()):
            return False
        return any(
            module == pattern
            or module.startswith(f"{pattern}.")
            or ("*" in pattern and fnmatchcase(module, pattern))
            for pattern in self._modules
        )


class Ledger:
    """Every callable of one file that is not ordinary: where it is named, whether it is called."""

    def __init__(self, allowlist: Allowlist) -> None:
        self.allowlist = allowlist
        #: The member of the file that is being read, "" for the file itself.
        self.member = ""
        #: Calls and names that found no room in the record.
        self.dropped = 0
        self._calls: list[dict[str, object]] = []
        self._named: dict[tuple[str, str], dict[str, object]] = {}
        self._times: dict[tuple[str, str], int] = {}

    def named(self, name: str, opcode: str, at: int, arguments: object = None) -> None:
        """A stream names this callable. A call of it takes the place of its name."""
        key = (self.member, name)
        if key not in self._named and key not in self._times and self._room():
            self._named[key] = self._entry(name, opcode, at, arguments, called=False)

    def called(self, name: str, opcode: str, at: int, arguments: object) -> None:
        """A stream calls this callable, or would make Python call it."""
        self.excuse(name)
        key = (self.member, name)
        times = self._times.get(key, 0)
        if times >= MAX_CALLS or not self._room():
            self.dropped += 1
            return
        self._times[key] = times + 1
        self._calls.append(self._entry(name, opcode, at, arguments, called=True))

    def excuse(self, name: str) -> None:
        """The callable turned out to be used for something ordinary."""
        self._named.pop((self.member, name), None)

    def entries(self) -> list[dict[str, object]]:
        """The record: calls first, each in the order of the file."""
        return self._calls + list(self._named.values())

    def mark(self) -> set[tuple[str, str]]:
        """Which names stand at this moment, for `forget_names`."""
        return set(self._named)

    def forget_names(
        self, mark: frozenset[tuple[str, str]] | set[tuple[str, str]] = frozenset()
    ) -> None:
        """Forget what was named since, but for calls: it was no pickle after all."""
        for key in self._named.keys() - mark:
            del self._named[key]

    def _room(self) -> bool:
        return len(self._calls) + len(self._named) < MAX_ENTRIES

    def _entry(
        self, name: str, opcode: str, at: int, arguments: object, *, called: bool
    ) -> dict[str, object]:
        return {
            "name": printable(name),
            "opcode": opcode,
            "member": printable(self.member),
            "offset": at,
            "arguments": "" if arguments is None else describe(arguments),
            "called": called,
        }


def printable(name: str) -> str:
    """A hostile name, cut, and without the lone surrogates that JSON would not survive."""
    return name[:MAX_NAME].encode("utf-8", "backslashreplace").decode("utf-8")
