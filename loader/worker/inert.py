"""The world that a pickle meets here: it may name and call what it likes, and nothing happens.

Zone: worker. Names become `Global`, calls become data where builders.py knows what the call makes,
else a `Stub`. What is not ordinary goes into the ledger.
"""

from __future__ import annotations

import _compat_pickle
from typing import TYPE_CHECKING

from safe_load.worker import builders, joblib_arrays
from safe_load.worker.values import Global, Mapping, Stub

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.callables import Ledger
    from safe_load.worker.pickle_machine import Machine

#: Attributes of an instance that Python itself would call later, were they callables.
_HOOKS = frozenset(
    {"__setstate__", "__reduce__", "__reduce_ex__", "append", "extend", "add", "__call__"}
)
#: Calls within calls: `_rebuild_from_type_v2` and its like call what they are given.
MAX_NESTED = 8


class InertWorld:
    """Stands in for everything outside a stream. See pickle_machine.World.

    persistent_load: makes a value of a persistent id, or raises builders.OddError; nested: reads
    the bytes of a checkpoint within the checkpoint.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        persistent_load: Callable[[object], object] | None = None,
        nested: Callable[[object], object] | None = None,
    ) -> None:
        self.ledger = ledger
        self.persistent_load = persistent_load
        self.nested = nested
        #: The machine that runs a stream in this world, for formats that put raw bytes in between.
        self.machine: Machine | None = None
        self._globals: dict[tuple[str, str, bool], Global] = {}
        self._depth = 0

    def find(self, module: str, name: str, opcode: str, at: int, *, old: bool) -> object:
        key = (module, name, old)
        found = self._globals.get(key)
        if found is None:
            if old:  # Unpickler.find_class with fix_imports
                if (module, name) in _compat_pickle.NAME_MAPPING:
                    module, name = _compat_pickle.NAME_MAPPING[module, name]
                elif module in _compat_pickle.IMPORT_MAPPING:
                    module = _compat_pickle.IMPORT_MAPPING[module]
            full = f"{module}.{name}"
            allowed = full in builders.KNOWN or (module, name) in self.ledger.allowlist
            found = self._globals[key] = Global(module, name, allowed=allowed)
        if not found.allowed:
            self.ledger.named(found.name, opcode, at)
        return found

    def extension(self, code: int, opcode: str, at: int) -> object:
        name = f"extension {code}"
        self.ledger.called(name, opcode, at, ())
        return Stub(name)

    def call(
        self, func: object, args: tuple[object, ...], kwargs: object, opcode: str, at: int
    ) -> object:
        if not isinstance(func, Global):
            name = f"{func.made_by}()" if isinstance(func, Stub) else type(func).__name__
            self.ledger.called(name, opcode, at, args)
            return Stub(name, args, kwargs)
        builder = builders.BUILDERS.get(func.name)
        if builder is not None and not kwargs:
            if self._depth >= MAX_NESTED:
                raise builders.too_deep()
            self._depth += 1
            try:
                return builder(builders.Call(self, func, args, opcode, at))
            except builders.OddError:
                self.ledger.called(func.name, opcode, at, args)
            finally:
                self._depth -= 1
        elif not func.allowed:
            self.ledger.called(func.name, opcode, at, args)
        return Stub(func.name, args, kwargs)

    def build(self, target: object, state: object, at: int) -> object:
        if state is None:
            return target
        if isinstance(target, Stub):
            self._hooks(target.made_by, state, at)
            target.state.append(state)
            if target.made_by in joblib_arrays.WRAPPERS and self.machine is not None:
                return joblib_arrays.read_array(self.machine, state)
        elif isinstance(target, Mapping):
            self._hooks("collections.OrderedDict", state, at)
            target.state = state
        else:
            try:
                builders.set_state(target, state)
            except builders.OddError:
                # State for a class, a function, a module or plain data: no honest pickle has that.
                name = target.name if isinstance(target, Global) else type(target).__name__
                self.ledger.called(f"{name}.__setstate__", "BUILD", at, (state,))
        return target

    def _hooks(self, owner: str, state: object, at: int) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                for hook in _HOOKS.intersection(key for key in part if type(key) is str):
                    if isinstance(part[hook], (Global, Stub)):
                        self.ledger.called(f"{owner}.{hook}", "BUILD", at, (part[hook],))

    def add(self, target: object, items: list[object], opcode: str, at: int) -> None:
        if isinstance(target, Stub):
            target.items.extend(items)
        else:
            self.ledger.called(_method(target, "append"), opcode, at, tuple(items[:16]))

    def set(self, target: object, pairs: list[tuple[object, object]], opcode: str, at: int) -> None:
        if isinstance(target, Stub):
            target.pairs.extend(pairs)
        else:
            self.ledger.called(_method(target, "__setitem__"), opcode, at, tuple(pairs[:16]))

    def persistent(self, pid: object, opcode: str, at: int) -> object:
        if self.persistent_load is not None:
            try:
                return self.persistent_load(pid)
            except builders.OddError:
                pass
        # Nothing is called but the loader's own function, which will not have it.
        self.ledger.named("persistent_load", opcode, at, (pid,))
        return Stub("persistent_load", (pid,))


def _method(target: object, method: str) -> str:
    owner = target.name if isinstance(target, Global) else type(target).__name__
    return f"{owner}.{method}"
