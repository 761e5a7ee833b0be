"""Make the values of a file again, from the nodes that lie beside its bytes.

Zone: the caller's process. No name in a file is imported and nothing that it names is called: a call is
looked up in a closed table (values_python, values_numpy, values_torch) of what safe-load makes itself,
with arguments checked there. What the table does not have becomes a stand-in.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any

from safe_load.core.errors import NotLoadable
from safe_load.core.escape import visible
from safe_load.dropin import unmodelled, values_python
from safe_load.dropin.called import Called, is_special
from safe_load.export import structure as nodes

if TYPE_CHECKING:
    from safe_load.dropin.stored import Stored
    from safe_load.dropin.values_torch import Torch


#: Honest numbers have one hash in small groups: powers of two, one in 61.
_SAME_HASH = 100


class Making:
    """The values of one file. stored: its bytes; source: what it is called in messages."""

    def __init__(self, structure: nodes.Structure, stored: Stored, source: str) -> None:
        self._structure = structure
        self._stored = stored
        self._source = source
        self._made: list[Any] = []
        self._torch_values: Torch | None = None
        self.stand_ins = unmodelled.StandIns()

    def root(self) -> Any:
        """The root. Raises NotLoadable where a node is not what it says."""
        for node in self._structure.nodes:
            try:
                self._made.append(self._value(node))
            except NotLoadable:
                raise
            except Exception as error:
                what = visible(f"{type(error).__name__}: {error}", 300)
                raise NotLoadable(
                    f"{self._source}: a value cannot be made again ({what}); safe_load.load_file "
                    "gives the tensors"
                ) from error
        return self._made[-1]

    @property
    def _torch(self) -> Torch:
        if self._torch_values is None:
            from safe_load.dropin.values_torch import Torch  # noqa: PLC0415 - imports torch

            self._torch_values = Torch(self._stored)
        return self._torch_values

    def _at(self, index: int | None) -> Any:
        return None if index is None else self._made[index]

    def _value(self, node: nodes.Node) -> Any:
        match node:
            case nodes.Value(value):
                return value
            case nodes.Items():
                return self._items(node)
            case nodes.Pairs():
                return self._pairs(node)
            case nodes.Tensor():
                return self._torch.tensor(node, self._at(node.attributes))
            case nodes.Made(kind, call, attributes):
                return self._torch.made(kind, self._made[call], self._at(attributes))
            case nodes.Call():
                return self._call(node)
            case nodes.Name(dotted):
                return self._name(dotted)
            case nodes.Fill(opened, content):
                return self._filled(self._made[opened], self._made[content])
            case nodes.Open(kind, dotted):
                return self._opened(kind, dotted)
        return self._leaf(node)

    def _leaf(self, node: nodes.Node) -> Any:
        match node:
            case nodes.Float(bits):
                return struct.unpack(">d", bytes.fromhex(bits))[0]
            case nodes.Int(digits):
                return int(digits, 16)
            case nodes.Complex(bits):
                return complex(*struct.unpack(">2d", bytes.fromhex(bits)))
            case nodes.Text(encoded):
                return bytes.fromhex(encoded).decode("utf-8", "surrogatepass")
            case nodes.Bytes(kind, data):
                return bytearray(data) if kind == "bytearray" else data
            case nodes.Blob(kind, storage):
                view = self._stored.bytes_of(storage)
                return bytearray(view) if kind == "bytearray" else bytes(view)
            case nodes.Storage(storage, dtype):
                return self._torch.storage(storage, dtype)
            case nodes.Array():
                return self._array(node)
            case nodes.Other(what):
                return self.stand_ins.empty(what or "something")
        raise NotLoadable(f"{self._source}: a node of no known kind")

    def _items(self, node: nodes.Items) -> Any:
        items = [self._made[at] for at in node.items]
        match node.kind:
            case "list":
                return items
            case "tuple":
                return tuple(items)
            case "set" | "frozenset":
                self._require_spread(node.items)
        match node.kind:
            case "set":
                return set(items)
            case "frozenset":
                return frozenset(items)
            case "deque":
                return deque(items, node.longest)
        return self._torch.size(items)

    def _pairs(self, node: nodes.Pairs) -> Any:
        mapping: dict[Any, Any] = {}
        match node.kind:
            case "OrderedDict":
                mapping = OrderedDict()
            case "Counter":
                mapping = Counter()
            case "defaultdict":
                mapping = defaultdict(self._at(node.factory))
        self._require_spread([key for key, _ in node.pairs])
        for key, value in node.pairs:
            mapping[self._made[key]] = self._made[value]
        if node.attributes is not None:
            _set_attributes(mapping, self._made[node.attributes])
        return mapping

    def _require_spread(self, keys: list[int]) -> None:
        """Raises NotLoadable for keys that were chosen to have the same hash: each would be compared
        with all before it."""
        if len(keys) > _SAME_HASH:
            hashes = Counter(hash(self._made[at]) for at in keys)
            if hashes.most_common(1)[0][1] > _SAME_HASH:
                raise NotLoadable(f"{self._source}: too many keys of a dict have the same hash")

    def _array(self, node: nodes.Array) -> Any:
        from safe_load.dropin import values_numpy  # noqa: PLC0415 - imports numpy

        data = None if node.storage is None else self._stored.bytes_of(node.storage)
        dtype = self._made[node.dtype]
        made = values_numpy.array(dtype, node.shape, node.fortran, data, self._at(node.objects))
        made = values_numpy.in_native_order(made) if node.native else made
        return values_numpy.of_class(made, node.kind, node.fortran, self._at(node.masked))

    def _name(self, dotted: str) -> Any:
        found = values_python.named(dotted)
        if found is None and dotted.partition(".")[0] == "torch":
            found = self._torch.named(dotted)
        if found is None and dotted.partition(".")[0] == "numpy":
            from safe_load.dropin import values_numpy  # noqa: PLC0415 - imports numpy

            found = values_numpy.named(dotted)
        return self.stand_ins.named(dotted) if found is None else found.value

    def _call(self, node: nodes.Call) -> Any:
        called = Called(
            node.dotted,
            self._at(node.args) or (),
            self._at(node.keywords) or {},
            self._at(node.states) or [],
            self._at(node.items) or [],
            self._at(node.pairs) or [],
        )
        try:
            maker = self._maker(node.dotted)
            if maker is not None:
                return maker(called)
            member = values_python.member(called)
        except Exception:  # noqa: BLE001 - other arguments than those which that call is modelled with
            member = None
        return self._stand_in(called) if member is None else member.value

    def _maker(self, dotted: str) -> Any:
        package = dotted.partition(".")[0]
        if package == "torch":
            return self._torch.maker(dotted)
        if package == "numpy":
            from safe_load.dropin import values_numpy  # noqa: PLC0415 - imports numpy

            return values_numpy.MAKERS.get(dotted)
        return values_python.MAKERS.get(dotted)

    def _stand_in(self, called: Called) -> Any:
        base = "dict" if called.pairs else "list" if called.items else ""
        made = self.stand_ins.empty(called.name, base)
        if isinstance(made, dict):
            made.update(called.pairs)
        if isinstance(made, list):
            made.extend(called.items)
        if called.args:
            made.__dict__["_args"] = called.args
        if called.keywords:
            made.__dict__["_keywords"] = called.keywords
        for state in called.states:
            unmodelled.attributes(made, state)
        return made

    def _opened(self, kind: str, dotted: str) -> Any:
        if kind == "list":
            return deque() if dotted == "deque" else []
        if kind == "dict":
            kinds: dict[str, Any] = {"OrderedDict": OrderedDict, "Counter": Counter}
            return defaultdict() if dotted == "defaultdict" else kinds.get(dotted, dict)()
        plain = values_python.PLAIN_OBJECTS.get(dotted)
        return self.stand_ins.empty(dotted) if plain is None else plain()

    def _filled(self, opened: Any, content: Any) -> Any:
        if isinstance(opened, list | deque):
            opened.extend(content)
        elif isinstance(opened, dict) and isinstance(content, dict):
            if isinstance(opened, defaultdict):
                opened.default_factory = getattr(content, "default_factory", None)
            opened.update(content)
        held = getattr(content, "__dict__", None)
        if held and hasattr(opened, "__dict__"):
            opened.__dict__.update({k: v for k, v in held.items() if not is_special(k)})
        return opened


def _set_attributes(mapping: Any, attributes: object) -> None:
    if isinstance(attributes, dict) and hasattr(mapping, "__dict__"):
        for key, value in attributes.items():
            if isinstance(key, str) and not is_special(key) and not hasattr(type(mapping), key):
                setattr(mapping, key, value)
