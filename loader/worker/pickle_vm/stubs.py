"""The world that a pickle meets here: it may name and call what it likes, and nothing happens.

Zone: worker. Names become `Global`, calls become data where builders.py knows what the call makes,
else a `Stub`. What is not ordinary goes into the ledger.
"""

from __future__ import annotations

import _compat_pickle
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm import (
    builders,
    builders_code,
    held,
    joblib_arrays,
    native_states,
    shapes,
)
from safe_load.worker.pickle_vm.values import Global, Mapping, Stub

if TYPE_CHECKING:
    from collections.abc import Callable

    from safe_load.worker.pickle_vm.callables import Ledger
    from safe_load.worker.pickle_vm.machine import Machine

#: Attributes of an instance that Python itself would call later, were they callables.
_HOOKS = frozenset(
    {"__setstate__", "__reduce__", "__reduce_ex__", "append", "extend", "add", "__call__"}
)
#: Of a configuration, what may name a kernel of a hub (transformers/configuration_utils.py).
_KERNELS = ("attn_implementation", "experts_implementation")
#: Calls within calls: `_rebuild_from_type_v2` and its like call what they are given.
MAX_NESTED = 8


class StubEnvironment:
    """Stands in for everything outside a stream. See state.World.

    persistent_load: makes a value of a persistent id, or raises builders.UnexpectedArgument; nested: reads
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
        #: How many values may still be looked at for callables.
        self.held_left = held.MAX_VALUES
        #: What objects were given, to be looked at again when the stream has ended.
        self._holding: list[tuple[Stub, object, str, int]] = []
        #: Objects of compiled code, to be looked at when they have all that the stream gives them.
        self._native: dict[int, tuple[Stub, int]] = {}
        self._arrays = native_states.Arrays()

    def begins(self, base: int | None) -> int | None:
        before, self.ledger.base = self.ledger.base, base
        return before

    def find(self, module: str, name: str, opcode: str, offset: int, *, old: bool) -> object:
        key = (module, name, old)
        found = self._globals.get(key)
        if found is None:
            if old:  # Unpickler.find_class with fix_imports
                if (module, name) in _compat_pickle.NAME_MAPPING:
                    module, name = _compat_pickle.NAME_MAPPING[module, name]
                elif module in _compat_pickle.IMPORT_MAPPING:
                    module = _compat_pickle.IMPORT_MAPPING[module]
            self.ledger.package(module)
            full = f"{module}.{name}"
            allowed = (
                full in builders.KNOWN
                or full in self.ledger.allowlist
                or self.ledger.of_script(full)
            )
            found = self._globals[key] = Global(module, name, allowed=allowed)
        if not found.allowed:
            self.ledger.named(found.name, opcode, offset)
        return found

    def extension(self, code: int, opcode: str, offset: int) -> object:
        name = f"extension {code}"
        self.ledger.called(name, opcode, offset, ())
        return Stub(name, trust="recorded")

    def call(
        self, func: object, args: tuple[object, ...], kwargs: object, opcode: str, offset: int
    ) -> object:
        if not isinstance(func, Global):
            if isinstance(func, Stub) and builders_code.made_of_code(func, args, opcode):
                made = Stub(f"{func.made_by}()", args, kwargs, trust="code")
                self.hold(made, (args, kwargs), opcode, offset)
                return made
            name = f"{func.made_by}()" if isinstance(func, Stub) else type(func).__name__
            self.ledger.called(name, opcode, offset, (*args, kwargs or ()))
            return Stub(name, args, kwargs, trust="recorded")
        builder = builders.BUILDERS.get(func.name) or builders_code.BUILDERS.get(func.name)
        if builder is None:
            return self._instance(func, args, kwargs, opcode, offset)
        if kwargs:
            self.ledger.called(func.name, opcode, offset, (*args, kwargs))
            return Stub(func.name, args, kwargs, trust="recorded")
        if self._depth >= MAX_NESTED:
            raise builders.too_deep()
        self._depth += 1
        try:
            return builder(builders.Call(self, func, args, opcode, offset))
        except builders.UnexpectedArgument:
            self.ledger.called(func.name, opcode, offset, args)
        finally:
            self._depth -= 1
        return Stub(func.name, args, kwargs, trust="recorded")

    def _instance(
        self, func: Global, args: tuple[object, ...], kwargs: object, opcode: str, offset: int
    ) -> Stub:
        """What a call of something that no builder makes returned, and how far it can be trusted."""
        shape = shapes.of_call(args, kwargs, opcode)
        stub = Stub(func.name, args, kwargs)
        if self._is_member(func, args, kwargs):
            return stub
        if not kwargs and self.ledger.allows(func.name, "data") and held.is_data(args):
            return stub
        if self.ledger.allows(func.name, shape):
            stub.trust = "listed"
        elif shape == "new":
            stub.trust = "plain"
            self.ledger.called(func.name, opcode, offset, (), "new")
        else:
            stub.trust = "recorded"
            use = "fields" if not kwargs and shapes.is_small(args, opcode) else "call"
            given = (*args, *([kwargs] if kwargs else ()))
            self.ledger.called(func.name, opcode, offset, given, use)
        self.hold(stub, (args, kwargs), opcode, offset)
        if not isinstance(args, tuple) or args:
            self._follow_native(stub, offset)
        return stub

    def _is_member(self, func: Global, args: tuple[object, ...], kwargs: object) -> bool:
        """Whether this gives a member of a listed enumeration."""
        return (
            len(args) == 1
            and not kwargs
            and held.is_data(args)
            and self.ledger.allows(func.name, "enum")
        )

    def hold(self, owner: Stub, value: object, opcode: str, offset: int) -> None:
        """Take note of what an object is given that it, or who uses it, may call later."""
        if value not in ((), ((), None)):
            self._holding.append((owner, value, opcode, offset))
            held.note(self, value, opcode, offset)

    def settle(self) -> None:
        """At the end of a stream: look again, for containers may have got more since they were given."""
        for _, value, opcode, offset in self._holding:
            held.note(self, value, opcode, offset)
        self._holding.clear()
        for stub, offset in list(self._native.values()):
            self._follow_native(stub, offset)
        self._native.clear()

    def build(self, target: object, state: object, offset: int) -> object:
        if state is None:
            return target
        if isinstance(target, Stub):
            target.state.append(state)
            if target.made_by in joblib_arrays.WRAPPERS and self.machine is not None:
                self.hold(target, state, "BUILD", offset)
                return joblib_arrays.read_array(self.machine, state)
            self._build_instance(target, state, offset)
        elif isinstance(target, Mapping):
            self._hooks(target.kind, state, offset)
            if not isinstance(state, dict):
                self.ledger.called(f"{target.kind}.__setstate__", "BUILD", offset, (state,))
            self.hold(Stub(target.kind), state, "BUILD", offset)
            target.state = state
        else:
            try:
                builders.set_state(target, state)
                # A hook of a tensor's or an object of an array's is called like any other.
                self.hold(Stub(type(target).__name__), state, "BUILD", offset)
            except builders.UnexpectedArgument:
                # State for a class, a function, a module or plain data: no honest pickle has that.
                name = target.name if isinstance(target, Global) else type(target).__name__
                self.ledger.called(f"{name}.__setstate__", "BUILD", offset, (state,))
        return target

    def _build_instance(self, target: Stub, state: object, offset: int) -> None:
        if target.made_by in joblib_arrays.BESIDE and not joblib_arrays.is_beside(state):
            self.ledger.called(f"{target.made_by}.read", "BUILD", offset, (state,), "state")
        self._follow_native(target, offset)
        if target.made_by.startswith("transformers.") and (kernel := _kernel(state)):
            name = f"{target.made_by}._attn_implementation"
            self.ledger.called(name, "BUILD", offset, kernel, "state")
        self._hooks(target.made_by, state, offset)
        if target.trust == "code":
            ordinary = builders_code.is_object(target, state=True)
        elif target.made_by == builders.PARTIAL:
            ordinary = target.trust == "recorded" or builders.is_partial(self, state)
        else:
            shape = shapes.of_state(state)
            ordinary = self.ledger.allows(target.made_by, shape) or (
                shape == "dict" and self.ledger.allows(target.made_by, "new")
            )
        if not ordinary:
            plain = target.trust in {"plain", "recorded"} and _is_plain(state)
            if plain and target.trust == "plain":
                self.ledger.excuse_call(target.made_by, "new")
            if not plain or self.ledger.texts.of(state) or target.trust == "plain":
                use = "new" if plain else "state"
                name = target.made_by if plain else f"{target.made_by}.__setstate__"
                self.ledger.called(name, "BUILD", offset, (state,), use)
        self.hold(target, state, "BUILD", offset)

    def _follow_native(self, stub: Stub, offset: int) -> None:
        """Look at what compiled code believes: now, before later opcodes change what it was given, and at the
        end, for an object may hold what is filled later."""
        if stub.made_by not in native_states.CHECKS:
            return
        if native_states.check(stub, self._arrays):
            self._native[id(stub)] = stub, offset
        else:
            self._native.pop(id(stub), None)
            name = f"{stub.made_by}.__setstate__"
            self.ledger.called(name, "BUILD", offset, (stub.args, stub.state), "native")

    def _hooks(self, owner: str, state: object, offset: int) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                # What slots are given is set as an attribute, and so is the class.
                hooks = _HOOKS | {"__class__"} if isinstance(state, tuple) else _HOOKS
                for hook in hooks.intersection(key for key in part if type(key) is str):
                    if isinstance(part[hook], (Global, Stub)):
                        self.ledger.called(f"{owner}.{hook}", "BUILD", offset, (part[hook],))

    def add(self, target: object, items: list[object], opcode: str, offset: int) -> None:
        if isinstance(target, Stub):
            target.items.extend(items)
            self.hold(target, list(items), opcode, offset)
            if self.ledger.allows(target.made_by, "items") or builders_code.is_object(target):
                return
        self.ledger.called(_method(target, "append"), opcode, offset, tuple(items[:16]), "items")

    def set(
        self, target: object, pairs: list[tuple[object, object]], opcode: str, offset: int
    ) -> None:
        if isinstance(target, Stub):
            target.pairs.extend(pairs)
            self.hold(target, list(pairs), opcode, offset)
            if self.ledger.allows(target.made_by, "pairs") or builders_code.is_object(target):
                return
            if target.trust == "plain":  # as pickle fills a dict's subclass
                self.ledger.excuse_call(target.made_by, "new")
                self.ledger.called(target.made_by, opcode, offset, tuple(pairs[:16]), "new")
                return
        method = _method(target, "__setitem__")
        self.ledger.called(method, opcode, offset, tuple(pairs[:16]), "items")

    def key(self, value: object, opcode: str, offset: int) -> None:
        if not isinstance(value, Stub) or value.trust in {"inert", "code"}:
            return  # a class or function, hashed by what it is, data of our own, or an object of the file's own class
        if not self.ledger.allows(value.made_by, "key"):
            name = f"{value.made_by}.__hash__"
            self.ledger.called(name, opcode, offset, (value,), "key")

    def target(self, name: object, offset: int) -> None:
        if isinstance(name, str):
            self.ledger.named(name, "_target_", offset)

    def persistent(self, pid: object, opcode: str, offset: int) -> object:
        if self.persistent_load is not None:
            try:
                return self.persistent_load(pid)
            except builders.UnexpectedArgument:
                pass
        # Nothing is called but the loader's own function, which will not have it.
        self.ledger.named("persistent_load", opcode, offset, (pid,))
        return Stub("persistent_load", (pid,), trust="recorded")


def _kernel(state: object) -> tuple[str, ...]:
    """What a configuration of transformers would have fetched and imported: a kernel is named by a repository."""
    parts = state if isinstance(state, dict) else {}
    keys = (
        f"{start}{key}{end}" for key in _KERNELS for start in ("", "_") for end in ("", "_internal")
    )
    return tuple(v for k in keys if isinstance(v := parts.get(k), str) and "/" in v)


def _is_plain(state: object) -> bool:
    """Whether BUILD only fills the instance's __dict__ and slots with it, where its class says nothing else."""
    return shapes.of_state(state) in {"dict", "slots"}


def _method(target: object, method: str) -> str:
    if isinstance(target, Stub):
        return f"{target.made_by}.{method}"
    owner = target.name if isinstance(target, Global) else type(target).__name__
    return f"{owner}.{method}"
