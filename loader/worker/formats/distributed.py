"""torch distributed checkpoints: a pickle, .metadata, that says which bytes of which .distcp file hold
which part of which tensor (torch.distributed.checkpoint.filesystem). Zone: worker.

FSDP, torchtitan, Accelerate and others write them. Each part is a file of torch.save's of its own, at
an offset. What comes out is what torch's own dcp_to_torch_save makes of the folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safe_load.worker.formats import pickles
from safe_load.worker.formats.interface import Content, File, Format
from safe_load.worker.pickle_vm.arguments import UnexpectedArgument, expect, integer, integers
from safe_load.worker.pickle_vm.values import Global, Storage, Stub, Tensor
from safe_load.worker.refusal import RefusedError, bomb
from safe_load.worker.spans import MAX_INFLATED, MemorySource, Span
from safe_load.worker.tensors import layout
from safe_load.worker.tensors.assembled import Assembled, Box
from safe_load.worker.tensors.dtypes import TORCH

if TYPE_CHECKING:
    from safe_load.worker.formats.interface import Reading
    from safe_load.worker.tensors.dtypes import Dtype

_MODULE = b"torch.distributed.checkpoint.metadata"
_METADATA = "torch.distributed.checkpoint.metadata.Metadata"
#: Parts of all tensors; keys that lead to one; places in the lists that those make.
MAX_PARTS = 1_000_000
MAX_KEYS = 64
MAX_PLACES = 1_000_000
_MISSING = object()

_Index = tuple[str, tuple[int, ...] | None]


@dataclass(frozen=True)
class _Part:
    """Where a part lies: a file beside .metadata, and bytes of it."""

    path: str
    offset: int
    length: int


class TorchDistributed(Format):
    """The .metadata of a torch distributed checkpoint, read together with the files that it names."""

    name, called = "torch-distributed", "the list of a torch distributed checkpoint"
    loader = "torch.distributed.checkpoint.format_utils.dcp_to_torch_save"

    weights = "all, put together"
    hides = "any callable, in its list and in each part; parts outside of its folder"

    def recognise(self, file: File) -> bool:
        """By the class that a pickle makes first."""
        return file.head[:1] == b"\x80" and _MODULE in file.head[:256]

    def read(self, file: File, reading: Reading) -> Content:
        """The tensors of all files, put together."""
        root, reader = pickles.unpickle(file, reading)
        if not isinstance(root, Stub) or root.made_by != _METADATA:
            return pickles.content_of(root, reader.format, reading, reader.defects)
        try:
            checkpoint = _Checkpoint(root, reading)
            if reading.parts is None:
                raise RefusedError(
                    "it lists the parts of a torch distributed checkpoint, which lie in other files: "
                    "name their folder instead"
                )
            value = checkpoint.value()
        except UnexpectedArgument:
            refusal = RefusedError("it is no list of a checkpoint's parts that torch would write")
            refusal.state = "opened"
            raise refusal from None
        except RefusedError as refusal:
            refusal.state = refusal.state or "opened"
            raise
        content = pickles.content_of(value, self.name, reading)
        content.parts = checkpoint.accounts()
        return content


class _Checkpoint:
    """One checkpoint. Raises UnexpectedArgument for what torch does not write."""

    def __init__(self, root: Stub, reading: Reading) -> None:
        self._reading = reading
        self._files = reading.parts or {}
        fields = _fields(root)
        self._tensors = expect(fields.get("state_dict_metadata"), dict)
        self._paths = expect(fields.get("planner_data") or {}, dict)
        self._parts: dict[_Index, _Part] = {}
        listed = expect(fields.get("storage_data"), dict)
        if len(listed) > MAX_PARTS:
            raise bomb(f"it lists {len(listed)} parts, more than {MAX_PARTS}")
        for key, info in listed.items():
            index = _index(key)
            if index in self._parts:
                raise RefusedError(f"it says twice where {index[0][:200]!a} lies")
            self._parts[index] = self._part(info)
        self._read: dict[_Index, object] = {}
        self._places_left = MAX_PLACES

    def _part(self, info: object) -> _Part:
        fields = _fields(info)
        path = expect(fields.get("relative_path"), str)
        steps = path.replace("\\", "/").split("/")
        if ".." in steps or path.startswith(("/", "\\")) or path[1:2] == ":":
            self._reading.carries(
                "SL505",
                f"says that tensors lie in {path[:200]!a}, outside of the checkpoint's folder",
            )
            raise RefusedError(
                f"it names the file {path[:200]!a}, which lies outside of its folder"
            )
        if fields.get("transform_descriptors"):
            raise RefusedError(
                "its parts are compressed or encrypted by an extension of torch: save it again without"
            )
        return _Part(path, integer(fields.get("offset")), integer(fields.get("length")))

    def value(self) -> dict[object, object]:
        """The state dict as torch would load it: nested as it was when it was saved."""
        self._check_files()
        for index, part in self._parts.items():
            self._read[index] = self._open(part)
        root: dict[object, object] = {}
        for name, described in self._tensors.items():
            item = self._item(expect(name, str), described)
            path = self._paths.get(name, (name,))
            self._place(root, expect(path, tuple), item)
        return root

    def _place(self, root: dict[object, object], path: tuple[object, ...], item: object) -> None:
        """Put an item where its path leads, as torch.distributed.checkpoint._traverse.set_element does."""
        if not 0 < len(path) <= MAX_KEYS:
            raise UnexpectedArgument
        held: object = root
        for number, key in enumerate(path[:-1]):
            made: object = {} if isinstance(path[number + 1], str) else []
            if isinstance(held, dict):
                held = held.setdefault(_key(key), made)
            else:
                places = self._grown(held, integer(key))
                if places[integer(key)] is None:
                    places[integer(key)] = made
                held = places[integer(key)]
        if isinstance(held, dict):
            held[_key(path[-1])] = item
        else:
            self._grown(held, integer(path[-1]))[integer(path[-1])] = item

    def _grown(self, held: object, at: int) -> list[object]:
        """A list that has a place of that number."""
        places = expect(held, list)
        more = max(0, at + 1 - len(places))
        self._places_left -= more
        if self._places_left < 0:
            raise bomb(f"its lists have more than {MAX_PLACES} items")
        places += [None] * more
        return places

    def _check_files(self) -> None:
        """Raises RefusedError for parts that are not there, or lie over one another."""
        ends: dict[str, int] = {}
        for part in sorted(self._parts.values(), key=lambda part: (part.path, part.offset)):
            file = self._files.get(part.path)
            if file is None:
                raise RefusedError(
                    f"it names the file {part.path[:200]!a}, which is missing: copy the files of every rank"
                    " into the folder"
                )
            if part.offset + part.length > file.size:
                raise RefusedError(
                    f"it says that a part ends at byte {part.offset + part.length} of {part.path[:200]!a},"
                    f" which has {file.size} bytes"
                )
            if part.offset < ends.get(part.path, 0):
                raise RefusedError(f"two of its parts share bytes of {part.path[:200]!a}")
            ends[part.path] = part.offset + part.length

    def accounts(self) -> dict[str, str]:
        """For each file whether all of its bytes belong to a part that was read: "", or why not."""
        ends: dict[str, int] = {}
        gaps: dict[str, str] = {}
        for part in sorted(self._parts.values(), key=lambda part: (part.path, part.offset)):
            self._gap(part.path, ends.get(part.path, 0), part.offset, gaps)
            ends[part.path] = part.offset + part.length
        for path, end in ends.items():
            self._gap(path, end, self._files[path].size, gaps)
        return {path: gaps.get(path, "") for path in ends}

    def _gap(self, path: str, begin: int, end: int, gaps: dict[str, str]) -> None:
        span = self._files[path].span
        if any(bytes(chunk).strip(b"\0") for chunk in span.chunks(begin, end - begin)):
            gaps.setdefault(
                path, f"its bytes {begin} to {end} belong to no part that .metadata lists"
            )

    def _open(self, part: _Part) -> object:
        """What was saved as one part. The calls of its pickle are kept, and said to be of this part."""
        span = self._files[part.path].span
        file = File(
            f"{part.path}[bytes at {part.offset}]",
            Span(span.source, span.offset + part.offset, part.length),
        )
        outer, self._reading.member = self._reading.member, file.name
        try:
            value, reader = pickles.unpickle(file, self._reading)
            if reader.defects:
                raise RefusedError(reader.defects[0])
        except RefusedError as refusal:
            reason = f"{part.path[:200]!a} at byte {part.offset}: {refusal.reason}"
            raise RefusedError(reason, refusal.status) from None
        finally:
            self._reading.member = outer
        return value

    def _item(self, name: str, described: object) -> object:
        fields = _fields(described)
        if "chunks" not in fields:
            value = self._read.get((name, None), _MISSING)
            if value is _MISSING:
                raise RefusedError(f"it does not say where {name[:200]!a} lies")
            return value
        dtype = _dtype(fields.get("properties"))
        shape = integers(fields.get("size"))
        chunks = [_fields(chunk) for chunk in expect(fields.get("chunks"), list)]
        placed = [(integers(chunk["offsets"]), integers(chunk["sizes"])) for chunk in chunks]
        try:
            return self._tensor(name, dtype, shape, placed)
        except RefusedError as refusal:
            raise RefusedError(
                f"the tensor {name[:200]!a}: {refusal.reason}", refusal.status
            ) from None

    def _tensor(
        self,
        name: str,
        dtype: Dtype,
        shape: tuple[int, ...],
        placed: list[tuple[tuple[int, ...], tuple[int, ...]]],
    ) -> Tensor:
        found = []
        for offsets, sizes in placed:
            if not math.prod(sizes):
                continue
            value = self._read.get((name, offsets), _MISSING)
            if value is _MISSING:
                raise RefusedError(f"it does not say where the part at {list(offsets)} lies")
            found.append((offsets, _checked(value, dtype, sizes)))
        if len(found) == 1 and found[0][1].shape == shape and not any(found[0][0]):
            return found[0][1]
        return assemble(dtype, shape, found)


def assemble(
    dtype: Dtype, shape: tuple[int, ...], found: list[tuple[tuple[int, ...], Tensor]]
) -> Tensor:
    """One tensor out of parts, none of them empty, with the offsets of each. Raises RefusedError."""
    if not math.prod(shape):
        span = Span(MemorySource(b""), 0, 0)
    else:
        boxes = [Box(offsets, tensor.shape, _bytes_of(tensor)) for offsets, tensor in found]
        source = Assembled(shape, dtype.size, boxes)
        span = Span(source, 0, source.size)
    stride, step = [], 1
    for size in reversed(shape):
        stride.append(step)
        step *= max(size, 1)
    return Tensor(Storage(dtype, span.length, span), dtype, 0, shape, tuple(reversed(stride)))


def _checked(value: object, dtype: Dtype, sizes: tuple[int, ...]) -> Tensor:
    if not isinstance(value, Tensor) or value.dtype is None or value.kind != "torch" or value.parts:
        raise RefusedError("a part of it is no plain tensor")
    if value.dtype is not dtype or value.shape != sizes:
        raise RefusedError(
            f"a part is {value.dtype.name} of shape {list(value.shape)}, and is said to be {dtype.name} of"
            f" shape {list(sizes)}"
        )
    return value


def _bytes_of(tensor: Tensor) -> Span:
    """The bytes of a part in logical order. Raises RefusedError for one that reaches past its storage."""
    view = layout.single("part", tensor).view
    if view.direct:
        return Span(view.span.source, view.span.offset + view.offset, view.nbytes)
    if view.nbytes > MAX_INFLATED:
        raise bomb(
            f"a part of {view.nbytes} bytes that is not contiguous would have to be put in order in memory"
        )
    return Span(MemorySource(b"".join(view.chunks())), 0, view.nbytes)


def _fields(value: object) -> dict[object, object]:
    """The attributes that pickle gave to an object."""
    fields: dict[object, object] = {}
    for state in expect(value, Stub).state:
        fields |= state if isinstance(state, dict) else {"state": state}
    return fields


def _index(key: object) -> _Index:
    fields = _fields(key)
    offset = fields.get("offset")
    return expect(fields.get("fqn"), str), None if offset is None else integers(offset)


def _dtype(properties: object) -> Dtype:
    """TensorProperties: its state is a tuple that begins with the type."""
    state = _fields(properties).get("state")
    first = expect(state, tuple)[0] if state else None
    name = expect(first, Global).name.removeprefix("torch.")
    if name not in TORCH:
        raise RefusedError(f"it holds tensors of the type {name[:200]!a}, which are not read")
    return TORCH[name]


def _key(key: object) -> str | int:
    if type(key) is str or type(key) is int:
        return key
    raise UnexpectedArgument
