"""The flat table of the tensors in whatever a load produced: names, dtypes, shapes, fingerprints.

Zone: worker. The object walked is hostile: what it raises is survived, and nodes, depth and the
size of the table are bounded.
"""

from __future__ import annotations

import copyreg
import json
from collections import Counter, OrderedDict, defaultdict, deque
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safe_load.worker.guarded import attempt
from safe_load.worker.tensors.fingerprints import digest, plan
from safe_load.worker.tensors.key_names import Distinct, class_text, key_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_TENSORS = 200_000
MAX_NODES = 5_000_000
MAX_DEPTH = 100
#: Characters of a name, dimensions of a shape.
MAX_NAME = 4096
MAX_RANK = 64
#: Bytes that all tables together may take as JSON; the room's whole result stays below 48 MB.
MAX_TABLE_BYTES = 40_000_000
#: A tensor that is not contiguous is copied to be digested, up to this many bytes.
MAX_COPY = 64 << 20

_LEAVES = (
    *(str, bytes, bytearray, int, float, complex, bool, type(None), type),
    *(set, frozenset, ModuleType, FunctionType, BuiltinFunctionType, MethodType),
    *(torch.dtype, torch.device, torch.UntypedStorage, torch.TypedStorage),
)
#: Containers that hold nothing but their items (an OrderedDict's `_metadata` is torch's own).
_PLAIN = (dict, OrderedDict, defaultdict, Counter, list, tuple, deque, torch.Size)
#: Classes that a pickle cannot name.
_UNNAMED = (type(None), type(Ellipsis), type(NotImplemented))
_COMPRESSED = {
    torch.sparse_csr: ("crow_indices", "col_indices"),
    torch.sparse_bsr: ("crow_indices", "col_indices"),
    torch.sparse_csc: ("ccol_indices", "row_indices"),
    torch.sparse_bsc: ("ccol_indices", "row_indices"),
}
_PACKED = (torch.quint4x2, torch.quint2x4)
_BY_CHANNEL = (torch.per_channel_affine, torch.per_channel_affine_float_qparams)


class Tables:
    """Makes the tables of one run within common bounds. budget: bytes to digest of each tensor."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        #: True when a bound cut a table short, so that a missing name says nothing.
        self.truncated = False
        self._tensors = MAX_TENSORS
        self._nodes = MAX_NODES
        self._bytes = MAX_TABLE_BYTES

    def rows(self, value: object) -> list[dict[str, Any]]:
        """One row {"name", "dtype", "shape", "crc32"} for each name that leads to a tensor.

        A name is the path of dict keys, indices and attributes joined with dots, "tensor" for a
        bare tensor, with a number where it is taken. crc32 is None where the bytes cannot be had cheaply. Arrays of numpy count only
        where there is no tensor: beside tensors they are a random generator's state or the like.
        """
        tensors: list[dict[str, Any]] = []
        arrays: list[dict[str, Any]] = []
        names = {id(tensors): Distinct(), id(arrays): Distinct()}
        for path, item in self._walk(value):
            rows = arrays if issubclass(type(item), np.ndarray) else tensors
            name = names[id(rows)](path)
            row, error = attempt(lambda name=name, item=item: self._row(name, item))  # type: ignore[misc]
            # A tensor that cannot say its own shape (a hostile subclass) is left out, hence missing.
            if row is not None and error is None and self._fits(row):
                rows.append(row)
        return tensors or arrays

    def add(self, row: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        """Append a row made elsewhere, within the same bounds."""
        if self._fits(row):
            rows.append(row)

    def _fits(self, row: dict[str, Any]) -> bool:
        name, rank = row["name"], len(row["shape"])
        size = len(json.dumps(name)) + 20 * rank + 80
        if self._tensors < 1 or size > self._bytes or len(name) > MAX_NAME or rank > MAX_RANK:
            self.truncated = True
            return False
        self._tensors -= 1
        self._bytes -= size
        return True

    def _walk(self, value: object) -> Iterator[tuple[str, Any]]:
        """Depth first in the order of the containers, without recursion."""
        stack: list[Iterator[tuple[str | None, object]]] = [iter([(None, value)])]
        path: list[object] = []
        while stack:
            for name, item in stack[-1]:
                self._nodes -= 1
                if self._nodes < 0:
                    self.truncated = True
                    return
                kind = type(item)
                if issubclass(kind, torch.Tensor) or _is_numbers(item):
                    given = "tensor" if name is None else name
                    yield given, item
                    parts = _parts_of_tensor(given, item)
                elif issubclass(kind, _LEAVES) or any(item is outer for outer in path):
                    continue
                else:
                    parts = _children(name, item)
                if len(stack) > MAX_DEPTH:
                    self.truncated = True
                    continue
                stack.append(_guarded(parts))
                path.append(item)
                break
            else:
                stack.pop()
                if path:
                    path.pop()

    def _row(self, name: str, tensor: Any) -> dict[str, Any]:
        if issubclass(type(tensor), np.ndarray):
            # As a plain array: a subclass may bring methods. What torch has no name for says numpy's.
            tensor = tensor.view(np.ndarray)
            dtype = tensor.dtype.newbyteorder("=").name
            crc, _ = attempt(lambda: self._crc32_of_array(tensor))
            return {"name": name, "dtype": dtype, "shape": list(tensor.shape), "crc32": crc}
        with torch._C.DisableTorchFunctionSubclass():
            if not _is_written(tensor):
                raise ValueError("extraction tells of its parts alone")
            shape = [int(size) for size in tensor.shape]
            if not all(0 <= size < 1 << 63 for size in shape):
                raise ValueError("a size is out of range")
            dtype = str(tensor.dtype).removeprefix("torch.")
            crc, _ = attempt(lambda: self._crc32(tensor))
        return {"name": name, "dtype": dtype, "shape": shape, "crc32": crc}

    def _crc32(self, tensor: torch.Tensor) -> int | None:
        """The digest of the tensor's bytes in C order, or None. Raises for exotic tensors."""
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            return None
        nbytes = tensor.numel() * tensor.element_size()
        ranges = plan(nbytes, self.budget)
        if not ranges:
            return None
        tensor = tensor.detach()
        if tensor.dtype in _PACKED:
            return None
        if tensor.is_quantized:
            tensor = tensor.int_repr()
        if not tensor.is_contiguous() or tensor.is_conj() or tensor.is_neg():
            if nbytes > MAX_COPY:
                return None
            tensor = tensor.resolve_conj().resolve_neg().contiguous()
        # One byte per element of a view: no page is touched but those digested.
        flat = memoryview(tensor.view(-1).view(torch.uint8).numpy().data)
        return digest(flat[offset : offset + length] for offset, length in ranges)

    def _crc32_of_array(self, array: np.ndarray[Any, Any]) -> int | None:
        ranges = plan(array.nbytes, self.budget)
        little = array.dtype.newbyteorder("<")
        if not ranges or (
            array.nbytes > MAX_COPY and not (array.flags.c_contiguous and little == array.dtype)
        ):
            return None
        flat = np.ascontiguousarray(array, dtype=little).reshape(-1).view(np.uint8).data
        return digest(flat[offset : offset + length] for offset, length in ranges)


def _is_numbers(item: object) -> bool:
    """Whether it is an array of plain numbers: not of objects, text, dates or structures."""
    return issubclass(type(item), np.ndarray) and np.ndarray.dtype.__get__(item).kind in "biufc"


def _guarded(parts: Iterator[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    """The parts, up to where getting one of them raises."""
    try:
        yield from parts
    except GeneratorExit:
        raise
    except BaseException:  # noqa: BLE001 - asking a hostile object for its parts runs its code
        return


def _is_written(tensor: Any) -> bool:
    """Whether its numbers are those of one strided view."""
    return tensor.layout is torch.strided and not tensor.is_nested and not tensor.is_meta


def _parts_of_tensor(name: str, tensor: Any) -> Iterator[tuple[str, object]]:
    """The tensors that belong to one that is quantised by channel, sparse or nested, as its pickle holds
    them."""
    if not issubclass(type(tensor), torch.Tensor):
        return
    prefix = f"{name}."
    if tensor.is_quantized:
        if tensor.qscheme() in _BY_CHANNEL:
            yield f"{prefix}scales", tensor.q_per_channel_scales()
            yield f"{prefix}zero_points", tensor.q_per_channel_zero_points()
    elif tensor.layout is torch.sparse_coo:
        yield f"{prefix}indices", tensor._indices()
        yield f"{prefix}values", tensor._values()
    elif tensor.layout in _COMPRESSED:
        for part in (*_COMPRESSED[tensor.layout], "values"):
            yield f"{prefix}{part}", getattr(tensor, part)()
    elif tensor.is_nested and tensor.layout is torch.strided:
        yield f"{prefix}values", tensor.values()
        yield f"{prefix}sizes", tensor._nested_tensor_size()
        yield f"{prefix}strides", tensor._nested_tensor_strides()
        yield f"{prefix}offsets", tensor._nested_tensor_storage_offsets()


def _children(name: str | None, item: Any) -> Iterator[tuple[str, object]]:
    """The named parts of a container or object, under the names that extraction gives them.

    A container's items are read without the methods of its own class. What else an object holds is
    what a pickle of it would hold, asked of the object: that runs its code, as pickling it would.
    """
    prefix = "" if name is None else f"{name}."
    kind = type(item)
    if issubclass(kind, dict):
        yield from _pairs(prefix, dict.items(item))
    for base in (list, tuple, deque):
        if issubclass(kind, base):
            yield from _numbered(prefix, base.__iter__(item))
    if issubclass(kind, np.ndarray) and np.ndarray.dtype.__get__(item).kind == "O":
        yield from _numbered(prefix, np.ndarray.ravel(item).tolist())
    elif kind not in _PLAIN:
        reduce = copyreg.dispatch_table.get(kind)
        reduced, error = attempt(lambda: reduce(item) if reduce else item.__reduce_ex__(2))
        if (
            error is not None
        ):  # it can be pickled only once: what it was given lies in it all the same
            yield from _pairs(prefix, object.__getattribute__(item, "__dict__").items())
        elif type(reduced) is tuple:
            yield from _reduced(prefix, reduced)


def _reduced(prefix: str, reduced: tuple[Any, ...]) -> Iterator[tuple[str, object]]:
    """The parts of an object by what its __reduce_ex__ returned."""
    function, args, state, items, pairs, *_ = *reduced, None, None, None
    if function is copyreg.__newobj__:  # type: ignore[attr-defined]
        args = args[1:]
    elif function is copyreg.__newobj_ex__:  # type: ignore[attr-defined]
        args = args[1]
    yield from _numbered(prefix, args)
    yield from _numbered(prefix, items or ())
    yield from _pairs(prefix, pairs or ())
    if (
        type(state) is tuple
        and len(state) == 2
        and all(part is None or isinstance(part, dict) for part in state)
    ):  # __dict__ and __slots__
        for part in state:
            if part is not None:
                yield from _pairs(prefix, part.items())
    elif type(state) is dict:
        yield from _pairs(prefix, state.items())
    elif state is not None:
        yield f"{prefix}state", state


def _pairs(prefix: str, pairs: Iterable[tuple[object, object]]) -> Iterator[tuple[str, object]]:
    held = list(pairs)
    names = key_names([key for key, _ in held], _special)
    return ((prefix + name, part) for name, (_, part) in zip(names, held, strict=True))


def _numbered(prefix: str, items: Iterable[object]) -> Iterator[tuple[str, object]]:
    return ((f"{prefix}{index}", part) for index, part in enumerate(items))


def _special(key: object) -> str | None:
    """The text of a key that is no plain data, without the methods of its own class."""
    kind = type(key)
    if kind in (torch.dtype, torch.device):
        return str(key)
    if kind is torch.Size:
        return f"({key[0]},)" if len(key) == 1 else str(tuple(key))  # type: ignore[arg-type,index]
    if issubclass(kind, type):
        if key in _UNNAMED:
            return None
        names = (type.__dict__[part].__get__(key) for part in ("__module__", "__qualname__"))
        return class_text(*map(str, names))
    if kind is FunctionType:
        return class_text(str(key.__module__), str(key.__qualname__))  # type: ignore[attr-defined]
    return None
