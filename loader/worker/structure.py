"""How tensors lay in the containers of a file, so that torch.load's answer can be made again. Zone: worker.

A list of nodes, each after those it holds, so whoever reads it needs neither recursion nor trust:

    ["value", text, number, truth or null]      ["dict" or "OrderedDict", [[key, value], ...], state]
    ["float", "nan", "inf" or "-inf"]           ["list" or "tuple", [item, ...]]
    ["tensor" or "array", name, kind]           ["other", what it is, where it is]

Items, keys, values and states are indices of earlier nodes; keys are plain values; state is null or
what an OrderedDict has as _metadata, where torch keeps versions; kind is "", "grad", "parameter" or
both. Anything else is "other": nothing that has to be called to be made comes out of a room.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from safe_load.worker.describe import describe
from safe_load.worker.values import Global, Mapping, Stub, Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping as Named

MAX_NODES = 200_000
MAX_DEPTH = 100
#: Characters of all text together.
MAX_TEXT = 4 << 20

_PLAIN = {str, int, float, bool, type(None)}


def of(root: object, names: Named[int, str]) -> list[list[Any]] | None:
    """The nodes of what a pickle became; the last is the root. None when there are too many of them.

    names: of the tensors that are written, by their id. A container is one node wherever it stands.
    """
    return _Nodes(names).of(root)


class _Nodes:
    def __init__(self, names: Named[int, str]) -> None:
        self._names = names
        self._nodes: list[list[Any]] = []
        self._known: dict[int, int] = {}
        self._text = 0

    def of(self, root: object) -> list[list[Any]] | None:
        # Each container stands on the stack twice: before what it holds, and after.
        stack: list[tuple[object, str, bool]] = [(root, "", False)]
        within: list[int] = []
        while stack:
            value, where, done = stack.pop()
            if done:
                within.pop()
                self._add(value, self._container(value))
            elif id(value) in self._known:
                continue
            elif id(value) in within:
                self._add(value, ["other", "a container that holds itself", where])
            elif len(within) > MAX_DEPTH:
                return None
            elif (parts := self._parts(value)) is None:
                self._add(value, self._leaf(value, where))
            else:
                within.append(id(value))
                stack.append((value, where, True))
                stack += [(part, f"{where}.{key}"[:200], False) for key, part in parts]
            if len(self._nodes) + len(stack) > MAX_NODES or self._text > MAX_TEXT:
                return None
        return self._nodes

    def _add(self, value: object, node: list[Any]) -> None:
        self._known[id(value)] = len(self._nodes)
        self._nodes.append(node)

    def _parts(self, value: object) -> list[tuple[str, object]] | None:
        """What a container holds, with a name for each; None for what is no container."""
        if type(value) is dict or (type(value) is Mapping and _is_ordinary(value)):
            if not all(type(key) in _PLAIN for key in value):
                return None
            parts = [(str(key), item) for key, item in value.items()]
            parts += [("", key) for key in value]
            state = _metadata(value)
            return parts if state is None else [*parts, ("_metadata", state)]
        if type(value) is list or type(value) is tuple:
            return [(str(index), item) for index, item in enumerate(value)]
        return None

    def _container(self, value: Any) -> list[Any]:
        if isinstance(value, dict):
            pairs = [[self._known[id(key)], self._known[id(item)]] for key, item in value.items()]
            kind = "OrderedDict" if isinstance(value, Mapping) else "dict"
            state = _metadata(value)
            return [kind, pairs, None if state is None else self._known[id(state)]]
        return [type(value).__name__, [self._known[id(item)] for item in value]]

    def _leaf(self, value: object, where: str) -> list[Any]:
        if type(value) is float and not math.isfinite(value):
            return ["float", str(value)]
        if (type(value) is int and value.bit_length() < 64) or type(value) in {
            float,
            bool,
            type(None),
        }:
            return ["value", value]
        if type(value) is str and _encodes(value):
            self._text += len(value)
            return ["value", value]
        name = self._names.get(id(value))
        if isinstance(value, Tensor) and name is not None:
            kind = " ".join(word for word in ("grad", "parameter") if getattr(value, word))
            return ["tensor" if value.kind == "torch" else "array", name, kind]
        if isinstance(value, Stub):
            what = value.made_by
        elif isinstance(value, Mapping):
            what = value.kind
        elif isinstance(value, Tensor):
            what = "a tensor of a type that safetensors lacks, or an array beside tensors"
        else:
            what = value.name if isinstance(value, Global) else type(value).__name__
        self._text += 200
        return ["other", describe(what)[:200].strip("'"), where[1:]]


def _encodes(text: str) -> bool:
    """Whether JSON can carry it: no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_ordinary(value: Mapping) -> bool:
    """Whether this is an OrderedDict, with nothing but what torch adds to one."""
    state = value.state
    return value.kind == "collections.OrderedDict" and (
        state is None or (type(state) is dict and set(state) <= {"_metadata"})
    )


def _metadata(value: object) -> object:
    return (
        value.state.get("_metadata")
        if isinstance(value, Mapping) and type(value.state) is dict
        else None
    )
