"""From named tensors to the entries of a safetensors file: checked, tied, sized, ordered.

Zone: worker. Entries are laid out as the safetensors library does it: by element type, the widest
first, then by name, so that every tensor is aligned in a mapped file.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from safe_load.worker.dtypes import RANK
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.views import View

if TYPE_CHECKING:
    from safe_load.worker.values import Tensor

#: Bytes of a name in UTF-8. The controller's own bound is 1024 and holds for "safe_load.view:NAME".
MAX_NAME = 1000
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
#: Prefix of the metadata keys that are the writer's own.
OWN = "safe_load."


class Entry:
    """One tensor of the output.

    dtype: safetensors' name; shape: as written; torch_dtype, torch_shape: as torch has it;
    remark: what the metadata says when the two differ, else "".
    """

    __slots__ = (
        "begin",
        "crc32",
        "dtype",
        "kind",
        "name",
        "remark",
        "shape",
        "torch_dtype",
        "torch_shape",
        "view",
    )

    def __init__(
        self,
        name: str,
        dtype: str,
        shape: tuple[int, ...],
        view: View,
        *,
        torch_dtype: str,
        kind: str = "torch",
    ) -> None:
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.torch_dtype = torch_dtype
        self.torch_shape = shape
        self.view = view
        self.kind = kind
        self.remark = ""
        #: Bytes into the data section.
        self.begin = 0
        self.crc32: int | None = None


class Layout:
    """Entries in the order of the file, and which further names each of them has."""

    def __init__(self, entries: list[Entry], tied: list[list[str]]) -> None:
        self.entries = entries
        #: Groups of names of one tensor; the first of each is the one written.
        self.tied = tied
        self.nbytes = 0
        for entry in entries:
            entry.begin = self.nbytes
            self.nbytes += entry.view.nbytes

    def metadata(self) -> dict[str, str]:
        """What the header says beside the tensors: an alias names its tensor, as save_model does."""
        data = {"format": "pt"}
        for kept, *aliases in self.tied:
            data.update(dict.fromkeys(aliases, kept))
        for entry in self.entries:
            if entry.remark:
                data[f"{OWN}view:{entry.name}"] = entry.remark
        return data


def check_name(name: str) -> None:
    """Raises RefusedError for a name that an exported file cannot bear."""
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise RefusedError(f"a tensor's name has not 1 to {MAX_NAME} bytes: {name[:200]!a}")
    if name == "__metadata__":
        raise RefusedError("a tensor is called __metadata__, which safetensors keeps for itself")
    if _FORBIDDEN.search(name):
        raise RefusedError(f"a tensor's name holds a control character: {name[:200]!a}")


def plan(named: list[tuple[str, Tensor]], limit: int) -> Layout:
    """The layout of tensors as a pickle named them; at most `limit` bytes. Raises RefusedError."""
    groups: dict[object, list[str]] = {}
    entries: dict[str, Entry] = {}
    for name, tensor in named:
        entry = _entry(name, tensor)
        entries[name] = entry
        groups.setdefault(_identity(name, tensor, entry), []).append(name)
    tied = [sorted(names) for names in groups.values() if len(names) > 1]
    for _, *aliases in tied:
        for alias in aliases:
            del entries[alias]
    ordered = sorted(entries.values(), key=lambda entry: (-RANK[entry.dtype], entry.name.encode()))
    layout = Layout(ordered, tied)
    if layout.nbytes > limit:
        raise bomb(f"its tensors would take {layout.nbytes} bytes, more than the {limit} allowed")
    return layout


def _identity(name: str, tensor: Tensor, entry: Entry) -> object:
    """Equal for tensors that are one and the same view of one storage."""
    if not entry.view.nbytes or name == "format" or name.startswith(OWN):
        return name  # nothing to share, or a name that the metadata needs for itself
    assert tensor.dtype is not None  # noqa: S101 - `_entry` has raised
    return (
        id(tensor.storage),
        entry.view.offset,
        tuple(entry.view.dims),
        tensor.shape,
        tensor.dtype.name,
        tensor.flips,
    )


def _entry(name: str, tensor: Tensor) -> Entry:
    storage, dtype = tensor.storage, tensor.dtype
    where = f"the tensor {name[:200]!r}"
    if storage is None or dtype is None or storage.span is None:
        raise RefusedError(f"{where} has no data in the file")
    count = math.prod(tensor.shape)
    if math.prod(size or 1 for size in tensor.shape) >= 1 << 56:
        raise bomb(f"{where} has {tensor.shape} elements")
    offset = tensor.start + tensor.offset * dtype.size
    if count:
        last = sum(
            (size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True)
        )
        if offset + (last + 1) * dtype.size > min(storage.size, storage.span.length):
            raise RefusedError(
                f"{where} reaches past its storage of {min(storage.size, storage.span.length)} bytes"
            )
    view = View(
        storage.span,
        offset,
        tensor.shape,
        tensor.stride,
        dtype.size,
        swap=storage.dtype.swap if storage.swapped else 0,
        flips=tensor.flips,
        part=dtype.swap,
    )
    shape, written = tensor.shape, dtype.safetensors
    if dtype.name == "float4_e2m1fn_x2" and shape:
        shape = (*shape[:-1], shape[-1] * 2)  # safetensors counts the halves of a byte
    elif dtype.name == "float4_e2m1fn_x2":
        written = "U8"
    elif dtype.view:
        shape = (*shape, dtype.view)
    entry = Entry(name, written, shape, view, torch_dtype=dtype.name, kind=tensor.kind)
    entry.torch_shape = tensor.shape
    if not dtype.exact or tensor.note or written != dtype.safetensors:
        entry.remark = f"{dtype.name} {tensor.note}".strip()
    return entry
