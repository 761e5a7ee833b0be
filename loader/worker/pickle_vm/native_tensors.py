"""Sparse tensors whose indices lead out of them: torch believes these when it makes them dense. Zone: worker.

torch.load checks them only where torch.sparse.check_sparse_tensor_invariants is switched on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safe_load.worker.pickle_vm.arguments import UnexpectedArgument, expect, integers, need
from safe_load.worker.pickle_vm.values import Global, Storage, Stub, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from safe_load.worker.pickle_vm.values import Inexpressible

#: Bytes of one tensor of indices that is looked through; beyond, a tensor is not one to be trusted.
MAX_BYTES = 1 << 30
_CODES = {"int64": "q", "int32": "i"}


def keeps_within(sparse: Inexpressible) -> bool:
    """Whether each index of a sparse tensor lies in its size."""
    _, args = sparse.made
    try:
        layout, data = args
        name = (
            layout.name
            if isinstance(layout, Global)
            else expect(expect(layout, Stub).args, tuple)[0]
        )
        parts = expect(data, tuple)
        if str(name).endswith("coo"):
            _coordinates(parts)
        else:
            _compressed(str(name), parts)
    except (UnexpectedArgument, IndexError, TypeError, ValueError):
        return False
    return True


def _rows(value: object) -> tuple[Sequence[Sequence[int]], int]:
    """The numbers of a tensor of indices, one row for each of its first dimension, and the length of a row."""
    tensor = expect(value, Tensor)
    root = expect(tensor.storage, Storage)
    need(tensor.dtype is not None and tensor.dtype.name in _CODES and not root.swapped)
    need(len(tensor.shape) in (1, 2) and root.size <= MAX_BYTES)
    span = root.span
    if span is None or tensor.dtype is None:
        raise UnexpectedArgument
    raw: Any = memoryview(span.whole()[: root.size])
    width = tensor.dtype.size
    need(tensor.start % width == 0 and len(raw) % width == 0)
    numbers = raw.cast(_CODES[tensor.dtype.name])[tensor.start // width + tensor.offset :]
    shape, stride = (1, *tensor.shape)[-2:], (0, *tensor.stride)[-2:]
    rows = []
    for row in range(shape[0]):
        places = range(
            row * stride[0], row * stride[0] + shape[1] * max(stride[1], 1), max(stride[1], 1)
        )
        need(not places or (stride[1] > 0 or shape[1] <= 1))
        need(not places or places[-1] < len(numbers))
        rows.append(numbers[places.start : places.stop : places.step] if places else [])
    return rows, shape[1]


def _within(numbers: Sequence[int], end: int) -> None:
    need(len(numbers) == 0 or (min(numbers) >= 0 and max(numbers) < end))


def _coordinates(parts: tuple[object, ...]) -> None:
    rows, count = _rows(parts[0])
    sizes = integers(parts[2])
    need(expect(parts[1], Tensor).shape[0] == count and len(rows) <= len(sizes))
    for row, size in zip(rows, sizes, strict=False):
        _within(row, size)


def _compressed(name: str, parts: tuple[object, ...]) -> None:
    starts, count = _rows(parts[0])
    places, width = _rows(parts[1])
    values, sizes = expect(parts[2], Tensor).shape, integers(parts[3])
    batches = len(expect(parts[0], Tensor).shape) - 1  # of (batch), rows, columns, (dense)
    lines, across = sizes[batches : batches + 2]
    if name.endswith(("bsr", "bsc")):
        high, wide = values[batches + 1 : batches + 3]
        need(high and wide)
        lines, across = lines // high, across // wide
    if name.endswith("c"):
        lines, across = across, lines
    need(count == lines + 1 and len(starts) == len(places))
    for line, row in zip(starts, places, strict=True):
        need(line[0] == 0 and line[lines] == width)
        need(all(map(int.__le__, line, line[1:])))
        _within(row, across)
