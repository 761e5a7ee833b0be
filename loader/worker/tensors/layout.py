"""From named tensors to the entries of a safetensors file: checked, tied, sized, ordered.

Zone: worker. Entries are laid out as the safetensors library does it: by element type, the widest
first, then by name, so that every tensor is aligned in a mapped file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.tensors.dtypes import PACKED, RANK
from safe_load.worker.tensors.key_names import METADATA
from safe_load.worker.tensors.views import View

if TYPE_CHECKING:
    from safe_load.worker.pickle_vm.values import Tensor
    from safe_load.worker.spans import Span

#: Bytes of a name in UTF-8. The controller's own bound is 1024 and holds for "safe_load.view:NAME".
MAX_NAME = 1000
#: Prefix of the metadata keys that are the writer's own.
OWN = "safe_load."
#: Tensors of all members of an archive.
MAX_MERGED = 200_000


class Entry:
    """One tensor of the output.

    dtype: safetensors' name; shape: as written; torch_dtype, torch_shape: as torch has it;
    remark: what the metadata says when the two differ, else ""; path: where the tensor lies in the
    file that was read, by which loading names it.
    """

    __slots__ = (
        "begin",
        "crc32",
        "dtype",
        "kind",
        "made",
        "member",
        "name",
        "path",
        "remark",
        "sample",
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
        self.name = self.path = name
        self.dtype = dtype
        self.shape = shape
        self.torch_dtype = torch_dtype
        self.torch_shape = shape
        self.view = view
        self.kind = kind
        self.remark = ""
        #: Whether it is put together from tensors of other names, so that loading gives no such tensor.
        self.made = False
        #: Of an archive of several models: the path of its own, with which its name begins.
        self.member = ""
        #: Bytes into the data section.
        self.begin = 0
        self.crc32: int | None = None
        #: Values of what was digested, in hex.
        self.sample = ""


class Layout:
    """Entries in the order of the file, and which of their names are of one tensor."""

    def __init__(
        self, entries: list[Entry], tied: list[list[str]], aliases: list[Entry] | None = None
    ) -> None:
        self.entries = entries
        #: Groups of names of one tensor; the first of each is always written.
        self.tied = tied
        #: What is not written, because another name of the same tensor is.
        self.aliases = aliases or []
        #: What the file says beside its tensors and programs read; see `facts`.
        self.facts: dict[str, str] = {}
        #: Where the first tensor begins is a multiple of this. A mapped file needs 16 for complex128.
        self.align = 8
        #: A model's settings in formats that keep them beside the tensors: a key without OWN -> a text.
        self.settings: dict[str, str] = {}
        self.nbytes = 0
        for entry in entries:
            entry.begin = self.nbytes
            self.nbytes += entry.view.nbytes

    def metadata(self) -> dict[str, str]:
        """What the header says beside the tensors: an alias names its tensor, as save_model does."""
        data = {"format": "pt", **{f"{OWN}{key}": text for key, text in self.settings.items()}}
        written = {entry.name for entry in self.entries}
        for kept, *names in self.tied:
            data.update((name, kept) for name in names if name not in written)
        for entry in self.entries:
            if entry.remark:
                data[f"{OWN}view:{entry.name}"] = entry.remark
        free = self.facts.keys() - data.keys() - written
        return data | {key: self.facts[key] for key in sorted(free)}


def check_name(name: str) -> None:
    """Raises RefusedError for a name that an exported file cannot bear. Any character may stand in one:
    where a name is shown, it is escaped."""
    if len(name.encode("utf-8", "replace")) > MAX_NAME:
        raise RefusedError(f"a tensor's name has more than {MAX_NAME} bytes: {name[:200]!a}")
    if name == METADATA:
        raise RefusedError("a tensor is called __metadata__, which safetensors keeps for itself")


def plan(named: list[tuple[str, Tensor]], limit: int) -> Layout:
    """The layout of tensors as a pickle named them; at most `limit` bytes. Raises RefusedError.

    Tied tensors are written under every name: which of them a library reads is not known here. Only
    where that would take more than `limit`, they are written once, and their other names are aliases.
    """
    groups: dict[object, list[str]] = {}
    entries: dict[str, Entry] = {}
    for name, tensor in named:
        entry = _entry(name, tensor)
        entries[name] = entry
        groups.setdefault(_identity(name, tensor, entry), []).append(name)
    tied = [sorted(names) for names in groups.values() if len(names) > 1]
    aliases: list[Entry] = []
    if tied and sum(entry.view.nbytes for entry in entries.values()) > limit:
        aliases = [entries.pop(alias) for _, *names in tied for alias in names]
    ordered = sorted(entries.values(), key=lambda entry: (-RANK[entry.dtype], entry.name.encode()))
    layout = Layout(ordered, tied, aliases)
    if layout.nbytes > limit:
        raise bomb(f"the tensors would take {layout.nbytes} bytes, more than the {limit} allowed")
    return layout


def merged(layouts: list[tuple[str, Layout]], limit: int) -> Layout:
    """One layout of several, whose names begin with the text before each. Raises RefusedError."""
    entries: list[Entry] = []
    aliases: list[Entry] = []
    tied: list[list[str]] = []
    taken: set[str] = set()
    if sum(len(each.entries) + len(each.aliases) for _, each in layouts) > MAX_MERGED:
        raise bomb(f"its members hold more than {MAX_MERGED} tensors")
    for prefix, each in layouts:
        for entry in (*each.entries, *each.aliases):
            entry.name = entry.path = prefix + entry.name
            if prefix:
                entry.member = f"{prefix}{entry.member}".removesuffix("/")
            check_name(entry.name)
            if entry.name in taken:
                raise RefusedError(f"two tensors are called {entry.name[:200]!a}")
            taken.add(entry.name)
        entries += each.entries
        aliases += each.aliases
        tied += [[prefix + name for name in group] for group in each.tied]
    entries.sort(key=lambda entry: (-RANK[entry.dtype], entry.name.encode()))
    layout = Layout(entries, tied, aliases)
    layout.align = max(each.align for _, each in layouts)
    if layout.nbytes > limit:
        raise bomb(f"the tensors would take {layout.nbytes} bytes, more than the {limit} allowed")
    return layout


def single(name: str, tensor: Tensor) -> Entry:
    """The entry of a tensor that is in no layout: it is not written. Raises RefusedError."""
    return _entry(name, tensor)


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
    if dtype.name in PACKED:
        return _packed(name, tensor, PACKED[dtype.name], storage.span)
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
    entry.made = tensor.derived
    if not dtype.exact or tensor.note or written != dtype.safetensors:
        entry.remark = f"{dtype.name} {tensor.note}".strip()
    return entry


def _packed(name: str, tensor: Tensor, in_a_byte: int, span: Span) -> Entry:
    """The bytes of a tensor whose elements are smaller than one. Raises RefusedError for a view of some."""
    step = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if size > 1 and stride != step:
            raise RefusedError(f"the tensor {name[:200]!r} is a view of parts of bytes")
        step *= size
    *rows, width = tensor.shape or (1,)
    nbytes = math.prod(rows) * -(-width // in_a_byte)
    if tensor.offset or tensor.start or nbytes > span.length:
        raise RefusedError(f"the tensor {name[:200]!r} is not its whole storage")
    assert tensor.dtype is not None  # noqa: S101 - the caller has looked
    view = View(span, 0, (nbytes,), (1,), 1)
    entry = Entry(name, "U8", (nbytes,), view, torch_dtype=tensor.dtype.name, kind=tensor.kind)
    entry.torch_shape = tensor.shape
    shape = "x".join(map(str, tensor.shape))
    entry.remark = f"{tensor.dtype.name} {tensor.note} shape={shape}"
    return entry
