"""Which callables a pickle may name without a word, and the record of all others. Zone: worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm import texts
from safe_load.worker.pickle_vm.describe import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from safe_load.worker.pickle_vm.values import Inexpressible

#: The opcodes, so to say, under which names of a text stand in the record: no honest name there is told.
NAMED_BY = ("_target_", "py/object", "__class__")
#: Libraries whose classes TorchScript's objects may be of: packed weights, which only compute.
TORCH_CLASSES = frozenset("quantized rnn mkldnn xnnpack sparse".split())
#: Entries that one file may add to the record; further ones are only counted.
MAX_ENTRIES = 1000
#: Calls of one callable in one member, of one use and kind of text, that are listed with their arguments.
MAX_CALLS = 8
#: Top-level packages that are listed.
MAX_PACKAGES = 1000
#: Characters of a callable's name.
MAX_NAME = 300
#: What the judge weighs by its arguments.
_BY_ARGUMENTS = frozenset({"builtins.getattr", "operator.or_", "_operator.or_"})


class Allowlist:
    """Exact names of ordinary callables, each with the shapes of the uses that honest pickles make of it.

    shapes: dotted name -> shapes, as pickle_vm.shapes spells them. Nothing else is ordinary: neither another
    name of the same module, nor another use of the same name.
    """

    def __init__(self, shapes: Mapping[str, Iterable[str]]) -> None:
        self._shapes = {name: frozenset(listed) for name, listed in shapes.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def allows(self, name: str, shape: str) -> bool:
        """Whether honest pickles use that name in that way."""
        return shape in self._shapes.get(name, ())


class Ledger:
    """Every callable of one file that is not ordinary: where it is named, whether it is called."""

    def __init__(self, allowlist: Allowlist) -> None:
        self.allowlist = allowlist
        #: The member of the file that is being read, "" for the file itself.
        self.member = ""
        #: Where the stream that is being read begins in the file; None where it was packed.
        self.base: int | None = None
        #: Whether the file is TorchScript's, in which `__torch__` names the classes of its program.
        self.script = False
        #: Calls and names that found no room in the record.
        self.dropped = 0
        self.texts = texts.Texts()
        #: Sparse tensors, where they are made, to be looked at when the numbers of their indices are there.
        self.sparse: list[tuple[Inexpressible, str, int]] = []
        #: The top-level packages of all names, ordinary or not.
        self.packages: dict[str, None] = {}
        self._calls: list[dict[str, object]] = []
        self._named: dict[tuple[str, str], dict[str, object]] = {}
        self._used: set[tuple[str, str]] = set()
        self._times: dict[tuple[object, ...], int] = {}

    def named(self, name: str, opcode: str, offset: int, arguments: object = None) -> None:
        """A stream names this callable. A call of it takes the place of its name."""
        key = (self.member, name)
        if key not in self._named and key not in self._used and self._room():
            self._named[key] = self._entry(name, opcode, offset, arguments, called=False)

    def called(
        self, name: str, opcode: str, offset: int, arguments: object, use: str = "call"
    ) -> None:
        """A stream uses this callable, or would make Python use it. use: "call", "new" (made as pickle makes
        plain objects), "fields" (a call with what an enumeration's member or a named tuple gets), "state", "items", "key", "native" (compiled code believes a state that leads it out of
        its memory), "code" (it makes a part of the code that the file brings: builders_code) or "held": it stands in the state of an object, which may call it."""
        self.excuse(name)
        self._used.add((self.member, name))
        text = self.texts.of(arguments)
        entry = self._entry(name, opcode, offset, arguments, called=use != "held")
        entry |= {"use": use, "text": text}
        # Only what the judge weighs like those that are listed already may stay unlisted.
        key = _alike(entry)
        times = self._times.get(key, 0)
        if times >= (1 if use == "held" else MAX_CALLS) or not self._room():
            self.dropped += 1
            return
        self._times[key] = times + 1
        self._calls.append(entry)

    def allows(self, name: str, shape: str) -> bool:
        """Whether that use of that name is ordinary in this file."""
        return self.allowlist.allows(name, shape) or self.of_script(name)

    def of_script(self, name: str) -> bool:
        """Whether that names a class of the file's own TorchScript program, or of a library that computes."""
        library = name.removeprefix("__torch__.torch.classes.")
        known = library == name or library.partition(".")[0] in TORCH_CLASSES
        return self.script and known and name.startswith("__torch__.")

    def package(self, module: str) -> None:
        """A stream names something of this module."""
        root = module.partition(".")[0]
        if len(self.packages) < MAX_PACKAGES and len(root) <= 64 and root.isidentifier():
            self.packages[root] = None

    def excuse(self, name: str) -> None:
        """The callable turned out to be used for something ordinary."""
        self._named.pop((self.member, name), None)

    def excuse_call(self, name: str, use: str) -> None:
        """The last record of that use gives way to one that says more."""
        for index in range(len(self._calls) - 1, max(-1, len(self._calls) - 3), -1):
            entry = self._calls[index]
            if entry["name"] == printable(name) and entry.get("use") == use and not entry["text"]:
                del self._calls[index]
                self._times[_alike(entry)] -= 1
                return

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
        self, name: str, opcode: str, offset: int, arguments: object, *, called: bool
    ) -> dict[str, object]:
        return {
            "name": printable(name),
            "opcode": opcode,
            "member": printable(self.member),
            "offset": offset,
            "at": None if self.base is None else self.base + offset,
            "arguments": "" if arguments is None else describe(arguments),
            "called": called,
            "use": "named",
            "text": "",
        }


def _alike(entry: dict[str, object]) -> tuple[object, ...]:
    """What the judge (judge.pickle_names) weighs an entry by."""
    name = entry["name"]
    arguments = entry["arguments"] if name in _BY_ARGUMENTS else ""
    kind = str(entry["text"]).partition(":")[0]
    return entry["member"], name, entry["use"], kind, arguments


def printable(name: str) -> str:
    """A hostile name, cut, and without the lone surrogates that JSON would not survive."""
    return name[:MAX_NAME].encode("utf-8", "backslashreplace").decode("utf-8")
