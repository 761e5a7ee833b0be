"""Arrays that joblib writes as raw bytes in the middle of a pickle. Zone: worker.

joblib.numpy_pickle.NumpyUnpickler.load_build reads them when an array wrapper gets its state, and
puts the array in the wrapper's place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safe_load.worker.builders_numpy import fill
from safe_load.worker.dtypes import NumpyDtype
from safe_load.worker.odd import OddError, integers
from safe_load.worker.pickle_machine import Machine
from safe_load.worker.values import Stub, Tensor

if TYPE_CHECKING:
    from safe_load.worker.sources import Span

WRAPPERS = frozenset({"joblib.numpy_pickle.NumpyArrayWrapper"})


def read_array(machine: Machine, state: object) -> object:
    """The array whose bytes follow in the machine's source. Raises MalformedError."""
    if not isinstance(state, dict):
        raise machine.malformed("an array of joblib has no state")
    dtype, shape, order = state.get("dtype"), state.get("shape"), state.get("order")
    if not isinstance(dtype, NumpyDtype) or dtype.letters.startswith("O"):
        # Objects: a pickle of its own, in the same file.
        inner = Machine(
            machine.source, machine.position, machine.end, machine.world, machine.budget
        )
        value = inner.load()
        machine.position = inner.position
        return value
    if state.get("numpy_array_alignment_bytes") is not None:
        machine.take(machine.unsigned(1))
    try:
        sizes = integers(shape)
        data: bytes | Span = machine.binary(math.prod(sizes) * dtype.itemsize)
        array = Tensor(None, None, 0, (0,), (1,), kind="numpy")
        fill(array, sizes, dtype, order == "F", data)
    except OddError:
        return Stub("joblib array", (state,))
    return array
