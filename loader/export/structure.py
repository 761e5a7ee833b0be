"""All that a file holds, as nodes: typed, bounded and checked before they are written beside its bytes.

Zone: controller. The worker's module of this name says what the nodes mean; `guard` makes the values
of them again (dropin/making.py). Nothing is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from safe_load.core import typed
from safe_load.core.errors import NotLoadable, SandboxError
from safe_load.worker.tensors import dtypes

if TYPE_CHECKING:
    from pathlib import Path

NAME = "safe-load.structure.json"
MAX_NODES = 500_000

_AT = Annotated[int, msgspec.Meta(ge=0, lt=MAX_NODES)]
_MAYBE = _AT | None
_LINE = Annotated[str, msgspec.Meta(max_length=1000)]
_LONG = Annotated[str, msgspec.Meta(max_length=16 << 20)]
_INT = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_COUNT = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_SIZES = Annotated[list[_COUNT], msgspec.Meta(max_length=64)]
_HEX = Annotated[str, msgspec.Meta(max_length=32 << 20, pattern=r"^-?[0-9a-f]*\Z")]
_DOTTED = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
_DEVICE = Annotated[str, msgspec.Meta(max_length=100)]
_Kind = Literal["", "grad", "parameter", "grad parameter"]


class Value(msgspec.Struct, frozen=True, array_like=True, tag="value", forbid_unknown_fields=True):
    value: bool | _INT | float | _LONG | None


class Float(msgspec.Struct, frozen=True, array_like=True, tag="float", forbid_unknown_fields=True):
    bits: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]


class Int(msgspec.Struct, frozen=True, array_like=True, tag="int", forbid_unknown_fields=True):
    digits: Annotated[_HEX, msgspec.Meta(min_length=1)]


class Complex(
    msgspec.Struct, frozen=True, array_like=True, tag="complex", forbid_unknown_fields=True
):
    bits: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class Text(msgspec.Struct, frozen=True, array_like=True, tag="text", forbid_unknown_fields=True):
    encoded: _HEX


class Bytes(msgspec.Struct, frozen=True, array_like=True, tag="bytes", forbid_unknown_fields=True):
    kind: Literal["bytes", "bytearray"]
    data: bytes


class Blob(msgspec.Struct, frozen=True, array_like=True, tag="blob", forbid_unknown_fields=True):
    kind: Literal["bytes", "bytearray"]
    storage: _AT


class Items(msgspec.Struct, frozen=True, array_like=True, tag="list", forbid_unknown_fields=True):
    kind: Literal["list", "tuple", "set", "frozenset", "deque", "Size"]
    items: list[_AT]
    longest: _COUNT | None


class Pairs(msgspec.Struct, frozen=True, array_like=True, tag="dict", forbid_unknown_fields=True):
    kind: Literal["dict", "OrderedDict", "defaultdict", "Counter"]
    pairs: list[tuple[_AT, _AT]]
    factory: _MAYBE
    attributes: _MAYBE


class Name(msgspec.Struct, frozen=True, array_like=True, tag="name", forbid_unknown_fields=True):
    dotted: _DOTTED


class Storage(
    msgspec.Struct, frozen=True, array_like=True, tag="storage", forbid_unknown_fields=True
):
    storage: _AT
    dtype: _LINE


class Tensor(
    msgspec.Struct, frozen=True, array_like=True, tag="tensor", forbid_unknown_fields=True
):
    storage: _AT
    dtype: _LINE
    offset: _COUNT
    shape: _SIZES
    stride: _SIZES
    flips: Literal["", "conj", "neg", "conj neg"]
    kind: _Kind
    attributes: _MAYBE


class Made(msgspec.Struct, frozen=True, array_like=True, tag="made", forbid_unknown_fields=True):
    kind: _Kind
    call: _AT
    attributes: _MAYBE


class Array(msgspec.Struct, frozen=True, array_like=True, tag="array", forbid_unknown_fields=True):
    dtype: _AT
    shape: _SIZES
    fortran: bool
    storage: _MAYBE
    objects: _MAYBE
    native: bool
    kind: Literal["", "matrix", "recarray", "chararray", "masked"] = ""
    masked: _MAYBE = None


class Call(msgspec.Struct, frozen=True, array_like=True, tag="call", forbid_unknown_fields=True):
    dotted: _DOTTED
    args: _MAYBE
    keywords: _MAYBE
    states: _MAYBE
    items: _MAYBE
    pairs: _MAYBE


class Open(msgspec.Struct, frozen=True, array_like=True, tag="open", forbid_unknown_fields=True):
    kind: Literal["list", "dict", "call"]
    dotted: _DOTTED


class Fill(msgspec.Struct, frozen=True, array_like=True, tag="fill", forbid_unknown_fields=True):
    opened: _AT
    content: _AT


class Other(msgspec.Struct, frozen=True, array_like=True, tag="other", forbid_unknown_fields=True):
    what: _LINE


Node = (
    Value | Float | Int | Complex | Text | Bytes | Blob | Items | Pairs | Name | Storage | Tensor
    | Made | Array | Call | Open | Fill | Other
)  # fmt: skip


class Structure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """storages: bytes of each, and the device that the file names; nodes: the last is the root."""

    storages: Annotated[list[tuple[_COUNT, _DEVICE]], msgspec.Meta(max_length=MAX_NODES)]
    nodes: Annotated[list[Node], msgspec.Meta(min_length=1, max_length=MAX_NODES)]


def stored(structure: Structure) -> dict[str, tuple[int, ...]]:
    """Name and shape of each tensor of bytes that is written."""
    return {str(number): (size,) for number, (size, _) in enumerate(structure.storages)}


def encode(structure: Structure) -> bytes:
    """What is written beside the weights. Raises SandboxError for what no worker of ours says."""
    for at, node in enumerate(structure.nodes):
        if any(index >= at for index in _held(node)):
            raise SandboxError("a node of the structure holds a later node")
        if isinstance(node, Tensor):
            _check_tensor(structure, node)
        elif isinstance(node, Fill):
            _check_fill(structure, node)
        elif isinstance(node, Blob | Storage | Array):
            if node.storage is not None and node.storage >= len(structure.storages):
                raise SandboxError("the structure names a storage that was not written")
            if isinstance(node, Storage) and node.dtype not in dtypes.TORCH:
                raise SandboxError("the structure names an element type that there is not")
    return msgspec.json.encode(structure)


def _held(node: Node) -> list[int]:
    """The nodes that a node names."""
    maybe: tuple[int | None, ...] = ()
    match node:
        case Items(_, items, _):
            return items
        case Pairs(_, table, factory, attributes):
            maybe = (*(index for pair in table for index in pair), factory, attributes)
        case Tensor(attributes=attributes):
            maybe = (attributes,)
        case Made(_, call, attributes):
            maybe = (call, attributes)
        case Array(dtype=dtype, objects=objects, masked=masked):
            maybe = (dtype, objects, masked)
        case Call(_, args, keywords, states, items, pairs):
            maybe = (args, keywords, states, items, pairs)
        case Fill(opened, content):
            maybe = (opened, content)
    return [index for index in maybe if index is not None]


def _check_tensor(structure: Structure, node: Tensor) -> None:
    dtype = dtypes.TORCH.get(node.dtype)
    if dtype is None or node.storage >= len(structure.storages):
        raise SandboxError("the structure has a tensor of no storage or element type")
    if len(node.shape) != len(node.stride):
        raise SandboxError("the structure has a tensor with another stride than shape")
    if all(node.shape):
        last = sum((size - 1) * step for size, step in zip(node.shape, node.stride, strict=True))
        if (node.offset + last + 1) * dtype.size > structure.storages[node.storage][0]:
            raise SandboxError("the structure has a tensor that reaches past its storage")


def _check_fill(structure: Structure, node: Fill) -> None:
    opened, content = structure.nodes[node.opened], structure.nodes[node.content]
    kinds = {"list": Items, "dict": Pairs, "call": Call}
    if not isinstance(opened, Open) or not isinstance(content, kinds[opened.kind]):
        raise SandboxError("the structure fills what is not open")


def read(folder: Path) -> Structure | None:
    """What was written there; None where nothing was. Raises NotLoadable for what is none."""
    try:
        return typed.decode((folder / NAME).read_bytes(), Structure)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise NotLoadable(f"{folder / NAME} cannot be read: {error}") from error
