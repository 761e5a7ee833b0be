"""The tensors in what a pickle became, each with the path that leads to it. Zone: worker.

A name is the path of dict keys, indices and attributes joined with dots, as detonation names them;
a bare tensor is `tensor`. The object may be shared, cyclic and of any depth: nothing recurses, and
only containers that lead to a tensor are gone through more than once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.shapes import is_slots
from safe_load.worker.pickle_vm.values import Global, Inexpressible, Size, Stub, Tensor
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.tensors.key_names import Distinct, class_text, key_names
from safe_load.worker.tensors.layout import MAX_NAME, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TENSORS = 200_000
MAX_DEPTH = 100
#: Tensors that are named because they have no numbers of their own.
MAX_OTHERS = 1000
#: Bytes of all names in UTF-8: with them, the header stays below what is written (writing.MAX_HEADER).
MAX_NAMES = 40 << 20
#: Items looked at, over all containers.
MAX_STEPS = 50_000_000

_CONTAINERS = (dict, list, tuple, Stub, Inexpressible)
#: The named parts of a container.
Parts = Callable[[object], Iterator[tuple[str, object]]]
Named = list[tuple[str, Tensor]]


class Walk:
    """What leads to tensors in one object. others: the tensors, by their paths, that only their parts can
    be written of. Raises RefusedError beyond the bounds."""

    def __init__(self, root: object) -> None:
        self.root = {"tensor": root} if isinstance(root, (Tensor, Inexpressible)) else root
        if isinstance(root, Tensor) and root.storage is None:
            self.root = dict(
                root.parts
            )  # an array of objects: its parts have their numbers for names
        self.others: dict[str, Inexpressible] = {}
        self._leading = _leading(self.root)

    def leads(self, item: object) -> bool:
        """Whether it is a tensor or a container from which one can be reached."""
        return isinstance(item, (Tensor, Inexpressible)) or id(item) in self._leading

    def tensors(self, within: object, parts: Parts | None = None, prefix: str = "") -> Named:
        """Every tensor within a part of the root with its path, in the order of the stream. Raises
        RefusedError.

        A tensor that several paths lead to stands once for each. parts: what containers hold; None:
        as it lies in the file. Names are given as they are, and may be too long or stand twice.
        """
        parts = parts or children
        found: Named = []
        steps, bytes_left = MAX_STEPS, MAX_NAMES
        path = [id(within)]
        stack = [parts(within)] if id(within) in self._leading else []
        prefixes = [prefix]
        while stack:
            for key, item in stack[-1]:
                steps -= 1
                if steps < 0:
                    raise bomb(
                        "the containers are shared in more ways than safe-load looks through"
                    )
                if isinstance(item, Inexpressible) and len(self.others) < MAX_OTHERS:
                    self.others[prefixes[-1] + key] = item
                if isinstance(item, Tensor) and item.storage is not None:
                    name = prefixes[-1] + key
                    bytes_left -= len(name.encode())
                    if len(found) >= MAX_TENSORS or bytes_left < 0:
                        raise _too_many(found)
                    found.append((name, item))
                if id(item) in self._leading and id(item) not in path:
                    if len(stack) >= MAX_DEPTH:
                        raise RefusedError(f"a tensor lies deeper than {MAX_DEPTH} containers")
                    path.append(id(item))
                    prefixes.append(f"{prefixes[-1]}{key}."[: MAX_NAME + 1])
                    stack.append(parts(item))
                    break
            else:
                stack.pop()
                path.pop()
                prefixes.pop()
        return found


def _too_many(found: Named) -> RefusedError:
    """The refusal of more names than are written: a bomb where a few tensors stand under most of them."""
    reason = (
        f"the file names more than {MAX_TENSORS:,} tensors, or its names take more than {MAX_NAMES >> 20} MiB: "
        "safe-load writes no more of one file. Save the model as several files (shards)"
    )
    few = len({id(tensor) for _, tensor in found}) * 2 < len(found)
    return bomb(reason) if few else RefusedError(reason)


def distinct(named: Named) -> Named:
    """The same tensors, no two under one name: arrays and tensors each by themselves, as detonation
    counts them. Raises RefusedError for a name that is too long."""
    apart = {"torch": Distinct(), "numpy": Distinct()}
    found = []
    for name, tensor in named:
        given = apart[tensor.kind](name)
        check_name(given)
        found.append((given, tensor))
    return found


def _leading(root: object) -> set[int]:
    """The ids of the containers from which a tensor can be reached."""
    parents: dict[int, list[int]] = {id(root): []}
    reached: list[int] = []
    queue = [root]
    steps = MAX_STEPS
    while queue:
        container = queue.pop()
        for item in _parts(container):
            steps -= 1
            if steps < 0:
                raise bomb("the containers hold more items than safe-load looks through")
            if isinstance(item, (Tensor, Inexpressible)):
                reached.append(id(container))
                if not item.parts:
                    continue
            elif not isinstance(item, _CONTAINERS):
                continue
            if id(item) not in parents:
                parents[id(item)] = []
                queue.append(item)
            parents[id(item)].append(id(container))
    leading: set[int] = set()
    while reached:
        container_id = reached.pop()
        if container_id not in leading:
            leading.add(container_id)
            reached.extend(parents[container_id])
    return leading


def children(item: object) -> Iterator[tuple[str, object]]:
    """The parts of a container or object, under the names that detonation gives them."""
    if isinstance(item, dict):
        yield from zip(key_names(item.keys(), special_text), item.values(), strict=True)
    elif isinstance(item, (list, tuple)):
        for index, part in enumerate(item):
            yield str(index), part
    elif isinstance(item, (Tensor, Inexpressible)):
        yield from children(item.parts)
    elif isinstance(item, Stub):
        # A call's arguments: the fields of a named tuple, for one.
        yield from children(item.args)
        yield from children(item.items)
        names = key_names([key for key, _ in item.pairs], special_text)
        yield from zip(names, (part for _, part in item.pairs), strict=True)
        for state in item.state:
            if is_slots(state):
                for part in state:
                    yield from children(part)
            elif isinstance(state, dict):
                yield from children(state)
            else:
                yield "state", state


def _parts(item: object) -> Iterable[object]:
    """The same without the keys, which cost more than all the rest."""
    if isinstance(item, dict):
        return item.values()
    if isinstance(item, (list, tuple)):
        return item
    return (part for _, part in children(item))


def special_text(key: object) -> str | None:
    """The text of a key that is a class, a function, an element type or a device."""
    if isinstance(key, Global):
        return class_text(key.module, key.name.removeprefix(f"{key.module}."))
    if isinstance(key, Size):
        return f"({key[0]},)" if len(key) == 1 else str(tuple(key))
    if not (isinstance(key, Stub) and key.made_by == "torch.device"):
        return None
    args = key.args if isinstance(key.args, tuple) else ()
    return ":".join(map(str, args)) if all(type(arg) in (str, int) for arg in args) else None


def _show(name: str) -> str:
    return ascii(name[:200])
