"""How tensors lay in the containers of a file, and the same containers made again around others.

Zone: controller. The worker's module of this name says what the nodes mean; here they are typed,
bounded and checked before they are written beside the weights, and read back by `guard`.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from safe_load.errors import NotLoadable, SandboxError
from safe_load.formats.escape import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from pathlib import Path

NAME = "safe-load.structure.json"
MAX_NODES = 200_000

_AT = Annotated[int, msgspec.Meta(ge=0, lt=MAX_NODES)]
_TEXT = Annotated[str, msgspec.Meta(max_length=65_536)]
_LINE = Annotated[str, msgspec.Meta(max_length=1000)]
_LONG = Annotated[str, msgspec.Meta(max_length=4 << 20)]
_INT = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]


class Value(msgspec.Struct, frozen=True, array_like=True, tag="value", forbid_unknown_fields=True):
    value: bool | _INT | float | _LONG | None


class Odd(msgspec.Struct, frozen=True, array_like=True, tag="float", forbid_unknown_fields=True):
    """A number that JSON has not."""

    value: Literal["nan", "inf", "-inf"]


class Tensor(
    msgspec.Struct, frozen=True, array_like=True, tag="tensor", forbid_unknown_fields=True
):
    name: _TEXT
    kind: Literal["", "grad", "parameter", "grad parameter"]


class Array(msgspec.Struct, frozen=True, array_like=True, tag="array", forbid_unknown_fields=True):
    name: _TEXT
    kind: Literal[""]


class Items(msgspec.Struct, frozen=True, array_like=True, tag="list", forbid_unknown_fields=True):
    items: list[_AT]


class Tuple(Items, frozen=True, array_like=True, tag="tuple", forbid_unknown_fields=True):
    pass


class Pairs(msgspec.Struct, frozen=True, array_like=True, tag="dict", forbid_unknown_fields=True):
    """state: of an OrderedDict, what it has as _metadata."""

    pairs: list[tuple[_AT, _AT]]
    state: _AT | None


class Ordered(Pairs, frozen=True, array_like=True, tag="OrderedDict", forbid_unknown_fields=True):
    pass


class Other(msgspec.Struct, frozen=True, array_like=True, tag="other", forbid_unknown_fields=True):
    """What does not come out of a room. where: the path to it, joined with dots."""

    what: _LINE
    where: _LINE


Node = Value | Odd | Tensor | Array | Items | Tuple | Pairs | Ordered | Other
Structure = Annotated[list[Node], msgspec.Meta(max_length=MAX_NODES)]


def encode(structure: list[Node], names: Container[str]) -> bytes:
    """What is written beside the weights. names: those of the tensors that were exported, with their
    aliases. Raises SandboxError for what no worker of ours says."""
    for at, node in enumerate(structure):
        held: list[int] = []
        match node:
            case Tensor(name, _) | Array(name, _) if name not in names:
                raise SandboxError(f"the structure names {visible(name)}, which was not written")
            case Items(items):
                held = items
            case Pairs(pairs, state):
                held = [index for pair in pairs for index in pair] + [state or 0]
                if any(
                    key < at and not isinstance(structure[key], Value | Odd) for key, _ in pairs
                ):
                    raise SandboxError("the structure has a key that is no plain value")
        if any(index >= at for index in held):
            raise SandboxError("the structure holds what comes after it")
    if not structure:
        raise SandboxError("the structure has no root")
    return msgspec.json.encode(structure)


def read(folder: Path) -> list[Node] | None:
    """What was written there; None where nothing was. Raises NotLoadable for what is none."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Structure)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise NotLoadable(f"{folder / NAME} cannot be read: {error}") from error


def rebuild(
    structure: list[Node],
    tensor: Callable[[str, bool, bool], object],
    array: Callable[[str], object],
    source: str,
) -> Any:
    """The root, made again. tensor: gives the one of that name, (name, requires grad, parameter);
    array: the same of numpy. Raises NotLoadable where something is not to be made."""
    made: list[Any] = []
    for node in structure:
        match node:
            case Value(value):
                made.append(value)
            case Odd(value):
                made.append(float(value))
            case Tensor(name, kind):
                made.append(tensor(name, "grad" in kind, "parameter" in kind))
            case Array(name):
                made.append(array(name))
            case Tuple(items):
                made.append(tuple(made[at] for at in items))
            case Items(items):
                made.append([made[at] for at in items])
            case Pairs(pairs, state):
                mapping: dict[Any, Any] = OrderedDict() if isinstance(node, Ordered) else {}
                mapping.update((made[key], made[value]) for key, value in pairs)
                if state is not None and isinstance(mapping, OrderedDict):
                    mapping._metadata = made[state]  # type: ignore[attr-defined]
                made.append(mapping)
            case Other(what, where):
                raise NotLoadable(
                    f"{source} holds {visible(what)}"
                    + (f" at {visible(where)}" if where else "")
                    + ", which does not come out of the sandbox: safe_load.load_file gives its tensors"
                )
    return made[-1]
