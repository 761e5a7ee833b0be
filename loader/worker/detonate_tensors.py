"""The flat table of the tensors in whatever a load produced: names, dtypes, shapes, fingerprints.

Zone: worker. The object walked is hostile: no method that its own class could define is called,
and nodes, depth and the size of the table are bounded.
"""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict, deque
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safe_load.worker.fingerprint import digest, plan
from safe_load.worker.guarded import attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    *(ModuleType, FunctionType, BuiltinFunctionType, MethodType, torch.dtype, torch.device),
)
_PLAIN = (dict, OrderedDict, defaultdict, list, tuple, deque, torch.Size)


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
        bare tensor. crc32 is None where the bytes cannot be had cheaply.
        """
        rows: dict[str, dict[str, Any]] = {}
        for name, tensor in self._walk(value):
            row, error = attempt(lambda name=name, tensor=tensor: self._row(name, tensor))  # type: ignore[misc]
            # A tensor that cannot say its own shape (a hostile subclass) is left out, hence missing.
            if row is not None and error is None and name not in rows and self._fits(row):
                rows[name] = row
        return list(rows.values())

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
        stack: list[Iterator[tuple[str, object]]] = [iter([("", value)])]
        while stack:
            for name, item in stack[-1]:
                self._nodes -= 1
                if self._nodes < 0:
                    self.truncated = True
                    return
                kind = type(item)
                if issubclass(kind, torch.Tensor) or _is_numbers(item):
                    yield name or "tensor", item
                elif not issubclass(kind, _LEAVES):
                    if len(stack) >= MAX_DEPTH:
                        self.truncated = True
                        continue
                    stack.append(_children(name, item))
                    break
            else:
                stack.pop()

    def _row(self, name: str, tensor: Any) -> dict[str, Any]:
        if issubclass(type(tensor), np.ndarray):
            # As a plain array: a subclass may bring methods. What torch has no name for says numpy's.
            tensor = tensor.view(np.ndarray)
            dtype = tensor.dtype.newbyteorder("=").name
            crc, _ = attempt(lambda: self._crc32_of_array(tensor))
            return {"name": name, "dtype": dtype, "shape": list(tensor.shape), "crc32": crc}
        with torch._C.DisableTorchFunctionSubclass():
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


def _children(name: str, item: Any) -> Iterator[tuple[str, object]]:
    """The named parts of a container or object, read without the methods of its own class."""
    prefix = f"{name}." if name else ""
    kind = type(item)
    if issubclass(kind, dict):
        for key, part in list(dict.items(item)):
            yield prefix + _key(key), part
    for base in (list, tuple, deque):
        if issubclass(kind, base):
            for index, part in enumerate(base.__iter__(item)):
                yield f"{prefix}{index}", part
    if issubclass(kind, np.ndarray) and np.ndarray.dtype.__get__(item).kind == "O":
        for index, part in enumerate(np.ndarray.ravel(item).tolist()):
            yield f"{prefix}{index}", part
    if kind not in _PLAIN:
        attributes, _ = attempt(lambda: object.__getattribute__(item, "__dict__"))
        if type(attributes) is dict:
            for key, part in list(attributes.items()):
                yield prefix + _key(key), part


def _key(key: object) -> str:
    # Only builtin types say their own name: another type's __str__ is hostile code.
    text = str(key) if type(key) in (str, int, float, bool, type(None)) else type(key).__name__
    return text.encode("utf-8", "replace").decode("utf-8")
