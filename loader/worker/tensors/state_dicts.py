"""Modules and optimizers within a pickle, as their `state_dict()` names what they hold. Zone: worker.

The names are those of torch 2.13: `Module.state_dict` in torch/nn/modules/module.py,
`Optimizer.state_dict` in torch/optim/optimizer.py. What a class does beyond that (a hook, an extra
state, a `state_dict` of its own) is code, which is not run: nobody can know it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from safe_load.worker.pickle_vm.values import Stub
from safe_load.worker.tensors.key_names import key_names
from safe_load.worker.tensors.walk import children, special_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Table = Mapping[object, object]


def parts(item: object) -> Iterator[tuple[str, object]]:
    """As `walk.children`, but of modules and optimizers what their state_dict names."""
    if isinstance(item, Stub):
        if (module := module_of(item)) is not None:
            yield from _of_module(module)
            return
        if (optimizer := _optimizer_of(item)) is not None:
            yield from _of_optimizer(optimizer)
            return
    yield from children(item)


def module_of(item: object) -> Table | None:
    """The attributes of a torch.nn.Module, else None. They are an object's state, or lie in the
    arguments of the call that makes it again: torch.fx gives them as they are, others as `state`."""
    if not isinstance(item, Stub):
        return None
    given: list[object] = [*_dicts(item)]
    for argument in item.args if isinstance(item.args, tuple) else ():
        if isinstance(argument, dict):
            given += [argument, argument.get("state")]
    return next((each for each in given if _is_module(each)), None)


def is_optimizer(item: object) -> bool:
    """Whether it is an optimizer, or what its state_dict gives."""
    return _optimizer_of(item) is not None or (isinstance(item, dict) and _has_groups(item))


def _dicts(item: Stub) -> Iterator[dict[object, object]]:
    for state in item.state:
        given = state[0] if isinstance(state, tuple) and len(state) == 2 else state
        if isinstance(given, dict):
            yield given


def _is_module(value: object) -> TypeGuard[Table]:
    return (
        isinstance(value, dict)
        and isinstance(value.get("_parameters"), dict)
        and all(isinstance(value.get(name, {}), dict) for name in ("_buffers", "_modules"))
    )


def _of_module(module: Table) -> Iterator[tuple[str, object]]:
    fleeting = module.get("_non_persistent_buffers_set")
    for name in ("_parameters", "_buffers", "_modules"):
        table = module.get(name, {})
        if not isinstance(table, dict):
            continue
        for key, part in zip(table, children_of(table), strict=True):
            kept = name != "_buffers" or not isinstance(fleeting, (set, frozenset, list))
            if kept or key not in fleeting:  # type: ignore[operator]
                yield part


def children_of(table: Table) -> Iterator[tuple[str, object]]:
    """The items of a dict, each with its key's name."""
    return zip(key_names(table.keys(), special_text), table.values(), strict=True)


def _optimizer_of(item: object) -> Table | None:
    if isinstance(item, Stub):
        for given in _dicts(item):
            if _has_groups(given):
                return given
    return None


def _has_groups(value: Table) -> bool:
    groups = value.get("param_groups")
    return isinstance(value.get("state"), dict) and isinstance(groups, list)


def _of_optimizer(optimizer: Table) -> Iterator[tuple[str, object]]:
    """Parameters are numbered in the order in which the groups list them."""
    numbers: dict[int, int] = {}
    rest: list[tuple[str, object]] = []
    groups, state = optimizer["param_groups"], optimizer["state"]
    assert isinstance(groups, list) and isinstance(state, dict)  # noqa: S101, PT018 - `_has_groups`
    for index, group in enumerate(groups):
        for key, value in children_of(group) if isinstance(group, dict) else ():
            if key == "params" and isinstance(value, list):
                for parameter in value:
                    numbers.setdefault(id(parameter), len(numbers))
                # A state_dict has their numbers. Where no module is beside it, these are the weights.
                rest += (
                    (f"param_groups.{index}.params.{at}", part) for at, part in enumerate(value)
                )
            else:
                rest.append((f"param_groups.{index}.{key}", value))
    for key, (name, value) in zip(state, children_of(state), strict=True):
        yield f"state.{numbers.get(id(key), name)}", value
    yield from rest
