"""What stands in the state or the arguments of an object, and may be called later. Zone: worker.

An object's methods are its library's, but what they call is often an attribute: a hook, a factory, a
schedule. So a callable within an object is weighed like a call of it, unless honest objects hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.values import Global, Stub, parts_of
from safe_load.worker.refusal import bomb
from safe_load.worker.tensors import dtypes
from safe_load.worker.tensors.dtypes import NumpyDtype

if TYPE_CHECKING:
    from safe_load.worker.pickle_vm.calls import Calling

#: Values looked at in all objects of one stream.
MAX_VALUES = 20_000_000

#: Callables that make plain data of whatever they are given, or nothing at all.
VALUES = frozenset(
    {
        *(f"torch.{name}" for name in (*dtypes.TORCH, *dtypes.STORAGES)),
        *(f"torch.storage.{name}" for name in (*dtypes.STORAGES, "TypedStorage", "UntypedStorage")),
        *(f"torch.cuda.{name}" for name in dtypes.STORAGES),
        *("torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter", "torch.Size"),
        *("torch.device", "numpy.ndarray", "numpy.dtype", "builtins.object"),
        *(f"builtins.{name}" for name in ("int", "float", "str", "bool", "bytes", "complex")),
        *(f"builtins.{name}" for name in ("list", "dict", "tuple", "set", "frozenset")),
        *(f"collections.{name}" for name in ("OrderedDict", "Counter", "deque", "defaultdict")),
    }
)


def is_data(value: object) -> bool:
    """Whether a value is data through and through: nothing in it has a method of a library's."""
    todo, seen = [value], set[int]()
    while todo:
        item = todo.pop()
        if isinstance(item, Global):
            return False
        if isinstance(item, Stub):
            if item.trust != "inert":
                return False
        elif (parts := parts_of(item)) and id(item) not in seen:
            if len(seen) > 100_000:
                return False
            seen.add(id(item))
            todo += parts
    return True


def may_hold(world: Calling, value: Global) -> bool:
    """Whether honest objects hold that callable."""
    return value.name in VALUES or world.ledger.allows(value.name, "value")


def note(world: Calling, value: object, opcode: str, offset: int) -> None:
    """Record the callables within a value that no honest object holds."""
    todo, seen = [value], set[int]()
    while todo:
        item = todo.pop()
        world.held_left -= 1
        if world.held_left < 0:
            raise bomb("the objects of the pickle hold more values than safe-load looks through")
        if isinstance(item, Global):
            if not may_hold(world, item):
                world.ledger.called(item.name, opcode, offset, None, "held")
        elif isinstance(item, NumpyDtype):
            item.closed = True
        elif (parts := parts_of(item)) and id(item) not in seen:
            seen.add(id(item))
            todo += parts
