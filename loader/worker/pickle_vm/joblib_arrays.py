"""Arrays that joblib writes as raw bytes in the middle of a pickle. Zone: worker.

joblib.numpy_pickle.NumpyUnpickler.load_build reads them when an array wrapper gets its state, and
puts the array in the wrapper's place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safe_load.worker.pickle_vm.arguments import UnexpectedArgument, integers
from safe_load.worker.pickle_vm.builders_numpy import fill
from safe_load.worker.pickle_vm.machine import Machine
from safe_load.worker.pickle_vm.values import Stub, Tensor
from safe_load.worker.tensors.dtypes import NumpyDtype

if TYPE_CHECKING:
    from safe_load.worker.spans import Span

#: scikit-learn before 0.22 brought its own joblib.
_HOMES = ("joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle")
WRAPPERS = frozenset({f"{home}.NumpyArrayWrapper" for home in _HOMES})

#: Wrappers of joblib before 0.10, which name a file beside the pickle: numpy.load reads it, objects too.
BESIDE = frozenset(
    {f"{home}.{name}" for home in _HOMES for name in ("NDArrayWrapper", "ZNDArrayWrapper")}
)


def is_beside(state: object) -> bool:
    """Whether such a wrapper reads a file of its own folder, which is judged like any other."""
    name = state.get("filename") if isinstance(state, dict) else None
    return isinstance(name, str) and not set(name) & set("/\\\0") and name not in ("", ".", "..")


def read_array(machine: Machine, state: object) -> object:
    """The array whose bytes follow in the machine's source. Raises MalformedError."""
    if not isinstance(state, dict):
        raise machine.malformed("an array of joblib has no state")
    dtype, shape, order = state.get("dtype"), state.get("shape"), state.get("order")
    if not isinstance(dtype, NumpyDtype) or dtype.objects:
        # Objects: a pickle of its own, in the same file.
        inner = Machine(
            machine.source, machine.position, machine.end, machine.world, machine.budget
        )
        value = inner.load()
        machine.position = inner.position
        return value
    dtype.closed = True
    if state.get("numpy_array_alignment_bytes") is not None:
        machine.take(machine.unsigned(1))
    try:
        sizes = integers(shape)
        data: bytes | Span = machine.binary(math.prod(sizes) * dtype.itemsize)
        array = Tensor(None, None, 0, (0,), (1,), kind="numpy")
        fill(array, sizes, dtype, order == "F", data, native=True)
    except UnexpectedArgument:
        return Stub("joblib array", (state,))
    return array
