"""All that a file holds, as a list of plain nodes, so that torch.load's answer can be made again. Zone: worker.

Each node comes after those that it holds, so whoever reads the list needs neither recursion nor trust.
Numbers in it are indices of earlier nodes (null: there is none) but where a word says otherwise:

    ["value", text, number, truth or null]       ["float", 8 bytes in hex]: one that JSON has not
    ["int", hex]  ["complex", 16 bytes in hex]   ["text", hex of UTF-8 with lone surrogates]
    ["bytes", kind, base64]                      ["blob", kind, storage]: longer ones
    ["list", kind, items, longest]               list, tuple, set, frozenset, deque, Size
    ["dict", kind, [[key, value], ...], factory, attributes]
    ["name", dotted]                             a class, a function: nothing but its name
    ["storage", storage, element type]
    ["tensor", storage, element type, offset, shape, stride, flips, kind, attributes]
    ["made", kind, call, attributes]             a tensor that is made by a call of torch
    ["array", element type, shape, fastest first, storage, objects, native order, class, masked]
    ["call", dotted, arguments, keywords, states, items, pairs]: any other object
    ["open", kind, dotted]                       what holds itself, empty at first
    ["fill", the open one, what it becomes]
    ["other", what it is]                        what cannot be told

class: "" for an array, or "matrix", "recarray", "chararray", "masked"; masked: the bytes of the mask, and what stands for
what it masks.
storage: its place in `storages`, whose bytes are written one after the other; offset, shape and
stride count elements; kind of a tensor: "", "grad", "parameter" or both.
"""

from __future__ import annotations

import binascii
import math
import struct
from typing import Any

from safe_load.worker.pickle_vm.describe import describe
from safe_load.worker.pickle_vm.values import (
    ByteArray,
    Deque,
    Global,
    Inexpressible,
    Mapping,
    Size,
    Storage,
    StorageView,
    Stub,
    Tensor,
)
from safe_load.worker.spans import Span, as_span
from safe_load.worker.tensors.dtypes import NumpyDtype
from safe_load.worker.tensors.layout import Entry, Layout
from safe_load.worker.tensors.views import View

MAX_NODES = 500_000
MAX_DEPTH = 1000
#: Characters of all text together.
MAX_TEXT = 16 << 20
#: Bytes that stand in the list itself.
INLINE = 4096
#: The longest name of a class or function.
MAX_NAME = 1000

_LISTS: dict[type, str] = {
    list: "list",
    tuple: "tuple",
    set: "set",
    frozenset: "frozenset",
    Deque: "deque",
    Size: "Size",
}
_SIMPLE = (int, float, bool, type(None), str)
#: What OmegaConf's containers hold of the container around them.
_AROUND, _PARENT = "omegaconf.", "_parent"


class Whole:
    """nodes: the last is the root; storages: the bytes that they name, in the order of their numbers;
    table: bytes and device of each of them, as the file says it."""

    def __init__(self, nodes: list[list[Any]], storages: list[View], places: list[str]) -> None:
        self.nodes = nodes
        self.table = [[view.nbytes, place] for view, place in zip(storages, places, strict=True)]
        entries = [
            Entry(str(number), "U8", (view.nbytes,), view, torch_dtype="uint8")
            for number, view in enumerate(storages)
        ]
        # Those that hold wide numbers first, so that numbers lie at multiples of their size.
        entries.sort(key=lambda entry: -_alignment(entry.view.nbytes))
        self.layout = Layout(entries, [])
        self.layout.align = 64


def of(root: object) -> Whole | None:
    """What a pickle became. None when it is more than the bounds allow."""
    first = _Nodes(frozenset())
    found = first.of(root)
    if found is not None and first.around:
        return _Nodes(frozenset(first.around)).of(root)
    return found


class _Nodes:
    """One walk. opened: the ids of the containers that hold themselves, which are made empty first."""

    def __init__(self, opened: frozenset[int]) -> None:
        self.around: set[int] = set()
        self._opened = opened
        self._nodes: list[list[Any]] = []
        self._known: dict[int, int] = {}
        self._empty: dict[int, int] = {}
        self._plain: dict[tuple[type, object], int] = {}
        self._storages: dict[object, int] = {}
        self._views: list[View] = []
        self._places: list[str] = []
        self._kept: list[object] = []  # what is made on the way keeps its id
        self._text = 0

    def of(self, root: object) -> Whole | None:
        # Each container stands on the stack twice: before what it holds, and after.
        stack: list[tuple[object, list[object] | None]] = [(root, None)]
        within: set[int] = set()
        while stack:
            value, parts = stack.pop()
            if parts is not None:
                within.discard(id(value))
                self._close(value, parts)
            elif isinstance(value, _SIMPLE):
                self._simple(value)
            elif id(value) in self._known:
                continue
            elif id(value) in within:
                self.around.add(id(value))
                self._add(value, ["other", "a container that holds itself"])
            elif len(within) > MAX_DEPTH:
                return None
            else:
                self._open(value)
                parts = self._parts(value)
                within.add(id(value))
                stack.append((value, parts))
                stack += [(part, None) for part in reversed(parts)]
            if len(self._nodes) + len(stack) > MAX_NODES or self._text > MAX_TEXT:
                return None
        return Whole(self._nodes, self._views, self._places)

    def _add(self, value: object, node: list[Any]) -> None:
        self._known[id(value)] = len(self._nodes)
        self._nodes.append(node)

    def _at(self, value: object) -> int:
        if isinstance(value, _SIMPLE):
            return self._plain[_simple_key(value)]
        return self._known[id(value)]

    def _open(self, value: object) -> None:
        if id(value) not in self._opened:
            return
        if isinstance(value, dict):
            kind, name = "dict", _kind_of_dict(value)
        elif type(value) is list or isinstance(value, Deque):
            kind, name = "list", _LISTS[type(value)]
        elif isinstance(value, Stub):
            kind, name = "call", self._name(value.made_by)
        else:
            return  # nothing of this kind is ever empty first
        self._empty[id(value)] = len(self._nodes)
        self._add(value, ["open", kind, name])

    def _close(self, value: object, parts: list[object]) -> None:
        """The node of a value whose parts are known."""
        node = self._node(value, parts)
        if id(value) in self._empty:
            self._nodes.append(node)
            self._nodes.append(["fill", self._empty[id(value)], len(self._nodes) - 1])
            self._known[id(value)] = len(self._nodes) - 1
        else:
            self._add(value, node)

    # What stands for itself

    def _simple(self, value: float | bool | str | None) -> None:
        key = _simple_key(value)
        if key not in self._plain:
            self._plain[key] = len(self._nodes)
            self._nodes.append(self._simple_node(value))

    def _simple_node(self, value: float | bool | str | None) -> list[Any]:
        if isinstance(value, str):
            self._text += len(value)
            if _encodes(value):
                return ["value", value]
            return ["text", value.encode("utf-8", "surrogatepass").hex()]
        if type(value) is float and not math.isfinite(value):
            return ["float", struct.pack(">d", value).hex()]
        if type(value) is int and value.bit_length() >= 64:
            text = f"{value:x}"
            self._text += len(text)
            return ["int", text]
        return ["value", value]

    # What has parts

    def _parts(self, value: object) -> list[object]:
        """The values that a node names."""
        if isinstance(value, dict):
            parts = [part for pair in value.items() for part in pair]
            return [*parts, getattr(value, "factory", None), getattr(value, "state", None)]
        if type(value) in _LISTS:
            items: list[object] = list(value)  # type: ignore[call-overload]
            return items
        if isinstance(value, Stub):
            rest = [self._without_parent(value, state) for state in value.state]
            self._kept.append(rest)
            return [
                value.args,
                value.kwargs,
                rest or None,
                value.items or None,
                value.pairs or None,
            ]
        if isinstance(value, Tensor):
            return self._parts_of_tensor(value)
        if isinstance(value, Inexpressible):
            return [self._made(value.made), value.state or None]
        if isinstance(value, NumpyDtype):
            letters = value.letters if value.state is not None else value.order + value.letters
            args = (letters.lstrip("=") or value.letters, *(("record",) if value.record else ()))
            self._kept.append(args)
            states: list[object] | None = None if value.state is None else [value.state]
            self._kept.append(states)
            return [args, states]
        return []

    def _parts_of_tensor(self, value: Tensor) -> list[object]:
        if value.array is not None:
            dtype, _, _, held, _ = value.array
            return [dtype, held if isinstance(held, list) else None, value.masked]
        state = value.state or None
        return [state] if value.made is None else [self._made(value.made), state]

    def _made(self, made: tuple[str, tuple[object, ...]]) -> object:
        stub = Stub(made[0], made[1])
        self._kept.append(stub)
        return stub

    def _without_parent(self, owner: Stub, state: object) -> object:
        if owner.made_by.startswith(_AROUND) and isinstance(state, dict) and _PARENT in state:
            return {key: part for key, part in state.items() if key != _PARENT}
        return state

    def _node(self, value: object, parts: list[object]) -> list[Any]:
        at = [None if part is None else self._at(part) for part in parts]
        if isinstance(value, dict):
            pairs = [[self._at(key), self._at(item)] for key, item in value.items()]
            return ["dict", _kind_of_dict(value), pairs, at[-2], at[-1]]
        if type(value) in _LISTS:
            items = [self._at(part) for part in parts]
            longest = value.maxlen if isinstance(value, Deque) else None
            return ["list", _LISTS[type(value)], items, longest]
        if isinstance(value, Stub):
            return ["call", self._name(value.made_by), *at]
        if isinstance(value, Tensor):
            return self._node_of_tensor(value, at)
        if isinstance(value, Inexpressible):
            return ["made", _kind(value), *at]
        if isinstance(value, NumpyDtype):
            return ["call", "numpy.dtype", at[0], None, at[1], None, None]
        return self._leaf(value)

    def _node_of_tensor(self, value: Tensor, at: list[int | None]) -> list[Any]:
        if value.array is not None:
            _, shape, fortran, held, native = value.array
            storage = None
            if isinstance(held, Span):
                place = id(held.source), held.offset, held.length
                storage = self._storage(place, _bytes_of(held), "cpu")
            told = value.subclass, at[2]
            return ["array", at[0], list(shape), fortran, storage, at[1], native, *told]
        if value.made is not None:
            return ["made", _kind(value), *at]
        number = None if value.storage is None else self._storage_of(value.storage)
        if value.dtype is None or number is None or value.start % value.dtype.size:
            return ["other", "a tensor without data"]
        offset = value.offset + value.start // value.dtype.size
        sizes = list(value.shape), list(value.stride), " ".join(value.flips)
        return ["tensor", number, value.dtype.name, offset, *sizes, _kind(value), at[0]]

    def _leaf(self, value: object) -> list[Any]:
        if isinstance(value, Global):
            return ["name", self._name(value.name)]
        if isinstance(value, Storage | StorageView):
            return self._node_of_storage(value)
        if type(value) is complex:
            return ["complex", struct.pack(">2d", value.real, value.imag).hex()]
        if isinstance(value, (bytes, bytearray, Span)):
            kind = "bytearray" if isinstance(value, (bytearray, ByteArray)) else "bytes"
            if isinstance(value, (bytes, bytearray)) and len(value) <= INLINE:
                self._text += len(value) * 2
                text = binascii.b2a_base64(value, newline=False).decode()
                return ["bytes", kind, text]
            span = as_span(value)
            assert span is not None  # noqa: S101 - it is one of its kinds
            self._kept.append(span)
            return ["blob", kind, self._storage(id(value), _bytes_of(span), "cpu")]
        self._text += 200
        return ["other", describe(value)[:200].strip("'")]

    # Bytes

    def _node_of_storage(self, value: Storage | StorageView) -> list[Any]:
        root = value if isinstance(value, Storage) else value.root
        place = self._storage_of(root)
        if place is None:
            return ["other", "a storage without data"]
        if isinstance(value, StorageView) and (value.offset or value.size != root.size):
            return ["other", "a part of a storage"]
        return ["storage", place, value.dtype.name]

    def _storage_of(self, value: Storage) -> int | None:
        if value.span is None:
            return None
        size = min(value.size, value.span.length)
        swap = value.dtype.swap if value.swapped else 0
        view = View(value.span, 0, (size,), (1,), 1, swap=swap)
        place = value.location if isinstance(value.location, str) else "cpu"
        return self._storage(id(value), view, place[:100])

    def _storage(self, key: object, view: View, place: str) -> int:
        number = self._storages.get(key)
        if number is None:
            number = self._storages[key] = len(self._views)
            self._views.append(view)
            self._places.append(place if _encodes(place) else "cpu")
        return number

    def _name(self, name: str) -> str:
        self._text += len(name)
        return name[:MAX_NAME].encode("utf-8", "backslashreplace").decode()


def _alignment(nbytes: int) -> int:
    """The largest power of two, up to 64, that divides a number of bytes."""
    return min(nbytes & -nbytes, 64) or 64


def _bytes_of(span: Span) -> View:
    return View(span, 0, (span.length,), (1,), 1)


def _kind(tensor: Tensor | Inexpressible) -> str:
    return " ".join(word for word in ("grad", "parameter") if getattr(tensor, word))


def _kind_of_dict(value: dict[Any, Any]) -> str:
    return value.kind.removeprefix("collections.") if isinstance(value, Mapping) else "dict"


def _simple_key(value: object) -> tuple[type, object]:
    # Not the number: 0.0 and -0.0 are equal, and nan is nothing.
    return type(value), struct.pack("d", value) if type(value) is float else value


def _encodes(text: str) -> bool:
    """Whether JSON can carry it: no half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
