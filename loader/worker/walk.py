"""The tensors in what a pickle became, each with the path that leads to it. Zone: worker.

A name is the path of dict keys, indices and attributes joined with dots, as detonation names them;
a bare tensor is `tensor`. The object may be shared, cyclic and of any depth: nothing recurses, and
only containers that lead to a tensor are gone through more than once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.describe import describe
from safe_load.worker.layout import MAX_NAME, check_name
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.values import Inexpressible, Stub, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_TENSORS = 200_000
MAX_DEPTH = 100
#: Bytes of all names in UTF-8.
MAX_NAMES = 16 << 20
#: Items looked at, over all containers.
MAX_STEPS = 50_000_000

_CONTAINERS = (dict, list, tuple, Stub)


def named_tensors(root: object) -> list[tuple[str, Tensor]]:
    """Every tensor with its name, in the order of the stream. Raises RefusedError.

    A tensor that several paths lead to stands once for each.
    """
    if isinstance(root, (Tensor, Inexpressible)):
        root = {"tensor": root}
    leading = _leading(root)
    found: dict[str, Tensor] = {}
    steps, bytes_left = MAX_STEPS, MAX_NAMES
    path = [id(root)]
    stack = [_children(root)] if id(root) in leading else []
    prefixes = [""]
    while stack:
        for key, item in stack[-1]:
            steps -= 1
            if steps < 0:
                raise bomb("its containers are shared in more ways than can be gone through")
            if isinstance(item, Inexpressible):
                raise RefusedError(
                    f"{_show(prefixes[-1] + key)} {item.reason}, which safetensors cannot hold"
                )
            if isinstance(item, Tensor) and item.storage is not None:
                name = prefixes[-1] + key or "tensor"
                check_name(name)
                if name in found:
                    raise RefusedError(f"two tensors are both called {_show(name)}")
                bytes_left -= len(name.encode())
                if len(found) >= MAX_TENSORS or bytes_left < 0:
                    raise bomb(
                        f"it names more than {MAX_TENSORS} tensors, or names too long to list"
                    )
                found[name] = item
            if id(item) in leading and id(item) not in path:
                if len(stack) >= MAX_DEPTH:
                    raise RefusedError(f"a tensor lies deeper than {MAX_DEPTH} containers")
                path.append(id(item))
                prefixes.append(f"{prefixes[-1]}{key}."[: MAX_NAME + 1])
                stack.append(_children(item))
                break
        else:
            stack.pop()
            path.pop()
            prefixes.pop()
    return list(found.items())


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
                raise bomb("its containers hold more items than can be gone through")
            if isinstance(item, (Tensor, Inexpressible)):
                reached.append(id(container))
                if isinstance(item, Inexpressible) or not item.parts:
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


def _children(item: object) -> Iterator[tuple[str, object]]:
    if isinstance(item, dict):
        for key, part in item.items():
            yield _key(key), part
    elif isinstance(item, (list, tuple)):
        for index, part in enumerate(item):
            yield str(index), part
    elif isinstance(item, Tensor):
        yield from _children(item.parts)
    elif isinstance(item, Stub):
        # A call's arguments: the fields of a named tuple, for one.
        yield from _children(item.args)
        yield from _children(item.items)
        for key, part in item.pairs:
            yield _key(key), part
        for state in item.state:
            if isinstance(state, tuple) and len(state) == 2:  # __dict__ and __slots__
                yield from _children(state[0])
                yield from _children(state[1])
            elif isinstance(state, dict):
                yield from _children(state)
            else:
                yield "state", state


def _parts(item: object) -> Iterable[object]:
    """The same without the keys, which cost more than all the rest."""
    if isinstance(item, dict):
        return item.values()
    if isinstance(item, (list, tuple)):
        return item
    return (part for _, part in _children(item))


def _key(key: object) -> str:
    if type(key) is int and key.bit_length() > 256:
        return describe(key)
    text = str(key) if type(key) in (str, int, float, bool, type(None)) else type(key).__name__
    return text.encode("utf-8", "replace").decode("utf-8")


def _show(name: str) -> str:
    return ascii(name[:200])
