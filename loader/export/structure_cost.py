"""What making the values of nodes again costs, before anyone makes them.

Zone: controller. Nodes share what they hold, so a short list of them can say what takes hours: a key that
is hashed in 2**40 steps, a list that is copied for each of a hundred thousand objects.
"""

from __future__ import annotations

from safe_load.core.errors import SandboxError
from safe_load.export import structure as nodes

#: Steps of hashing for all keys of a file; the deepest key (CPython hashes tuples by recursion in C).
_HASHED, _DEEPEST = 50_000_000, 1000
#: Values that all containers of OmegaConf take in, which copies them.
_CONFIGURED = 2_000_000
_BEYOND = 1 << 62
#: Of what is copied: so many times what is written, and so much in any case.
_TIMES, _ENTRIES, _BYTES = 4, 1_000_000, 64 << 20


def encode(structure: nodes.Structure) -> bytes:
    """As `structure.encode`. Raises SandboxError also for what would cost too much."""
    encoded = nodes.encode(structure)  # from here on, every node holds earlier ones only
    cost = _Cost(structure)
    for node in structure.nodes:
        cost.add(node)
    cost.judge()
    return encoded


class _Cost:
    def __init__(self, structure: nodes.Structure) -> None:
        self._nodes = structure.nodes
        self._sizes = [size for size, _ in structure.storages]
        self._steps: list[int] = []
        self._depths: list[int] = []
        self._whole: list[int] = []
        self._hashed = self._deepest = self._configured = 0
        self._written = self._copied = self._bytes = 0

    def add(self, node: nodes.Node) -> None:
        steps, depth, whole = 1, 0, 1
        match node:
            case nodes.Items(kind, items, _):
                self._written += len(items)
                whole += sum(self._whole[at] for at in items)
                if kind in ("set", "frozenset"):
                    self._keys(items)
                if kind not in ("list", "set", "deque"):
                    steps += sum(self._steps[at] for at in items)
                    depth = 1 + max((self._depths[at] for at in items), default=0)
            case nodes.Pairs(_, pairs, _, _):
                self._written += 2 * len(pairs)
                self._keys([key for key, _ in pairs])
                whole += sum(self._whole[key] + self._whole[value] for key, value in pairs)
            case nodes.Int(digits):
                steps += len(digits) // 16
            case nodes.Call():
                steps, depth, whole = self._call(node)
            case nodes.Open():
                whole = _BEYOND  # it becomes what comes later
            case nodes.Fill(_, content):
                self._copied += self._length(content)
                whole = self._whole[content]
            case nodes.Array(storage=storage, objects=objects, masked=masked):
                self._bytes += 0 if storage is None else self._sizes[storage]
                self._bytes += self._mask(masked)
                self._copied += self._length(objects)
            case nodes.Blob(_, storage):
                self._bytes += self._sizes[storage]
        self._steps.append(min(steps, _BEYOND))
        self._depths.append(depth)
        self._whole.append(min(whole, _BEYOND))

    def judge(self) -> None:
        if self._hashed > _HASHED or self._deepest > _DEEPEST:
            raise SandboxError("the structure has keys that take too long to compare")
        if self._copied > _TIMES * self._written + _ENTRIES:
            raise SandboxError("the structure holds the same values in too many objects")
        if self._bytes > _TIMES * sum(self._sizes) + _BYTES:
            raise SandboxError("the structure holds the same bytes in too many objects")
        if self._configured > _CONFIGURED:
            raise SandboxError("the structure has configurations that hold too much")

    def _call(self, node: nodes.Call) -> tuple[int, int, int]:
        held = [at for at in (node.args, node.states, node.items, node.pairs) if at is not None]
        whole = 1 + sum(self._whole[at] for at in held)
        if node.dotted.startswith(("omegaconf.dictconfig.", "omegaconf.listconfig.")):
            self._configured += whole
        for at in held:
            self._copied += self._length(at)
        states = None if node.states is None else self._nodes[node.states]
        if isinstance(states, nodes.Items):
            self._copied += sum(self._length(at) for at in states.items)
        table = None if node.pairs is None else self._nodes[node.pairs]
        if isinstance(table, nodes.Items):
            pairs = [self._nodes[at] for at in table.items]
            self._keys(
                [pair.items[0] for pair in pairs if isinstance(pair, nodes.Items) and pair.items]
            )
        if node.args is None:
            return 1, 0, whole
        self._keys([node.args])  # a member of an enumeration is looked up by its value
        return 1 + self._steps[node.args], 1 + self._depths[node.args], whole

    def _keys(self, keys: list[int]) -> None:
        self._hashed += sum(self._steps[at] for at in keys)
        self._deepest = max(self._deepest, max((self._depths[at] for at in keys), default=0))

    def _mask(self, at: int | None) -> int:
        """Bytes of a mask, which each array that has it copies."""
        node = None if at is None else self._nodes[at]
        held = self._nodes[node.items[0]] if isinstance(node, nodes.Items) and node.items else None
        if isinstance(held, nodes.Blob):
            return self._sizes[held.storage]
        return len(held.data) if isinstance(held, nodes.Bytes) else 0

    def _length(self, at: int | None) -> int:
        node = None if at is None else self._nodes[at]
        if isinstance(node, nodes.Items):
            return len(node.items)
        return 2 * len(node.pairs) if isinstance(node, nodes.Pairs) else 1
