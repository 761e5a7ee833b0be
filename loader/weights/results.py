"""What the room that compares two models says, typed and bounded. Zone: controller."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from safe_load.core import typed

#: As safe_load.worker.weights bounds them.
_MOST = 50_000
_NAME = Annotated[str, msgspec.Meta(max_length=1024)]
_SHARE = Annotated[float, msgspec.Meta(ge=0, le=1)]
_NUMBER = Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]
_COUNT = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
_SHAPE = Annotated[list[_COUNT], msgspec.Meta(max_length=64)]
_WORD = Annotated[str, msgspec.Meta(max_length=16)]
Relation = Literal["quantized", "finetune", "adapter", "merge"]


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One pair of tensors; see safe_load.worker.weights.measure.Change. name: of A; other: of B."""

    name: _NAME
    other: _NAME
    dtypes: tuple[_WORD, _WORD] = ("F32", "F32")
    shape: _SHAPE = []
    other_shape: _SHAPE = []
    identical: bool = False
    relative: _NUMBER | None = None
    energy: Annotated[list[_SHARE], msgspec.Meta(max_length=12)] = []
    balanced: Annotated[list[_SHARE], msgspec.Meta(max_length=12)] = []
    rounds: bool = False
    levels: tuple[_SHARE, _SHARE] | None = None
    cosine: _NUMBER | None = None
    resized: bool = False
    nonfinite: tuple[_COUNT, _COUNT] = (0, 0)
    zeroed: _SHARE = 0.0
    rank: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The room's result; see safe_load.worker.weights.main."""

    error: Annotated[str, msgspec.Meta(max_length=500)] | None
    pairs: Annotated[list[Measured], msgspec.Meta(max_length=_MOST)]
    added: Annotated[list[_NAME], msgspec.Meta(max_length=_MOST)]
    missing: Annotated[list[_NAME], msgspec.Meta(max_length=_MOST)]
    relation: Relation | None


def read(value: object) -> Said:
    """The room's result. Raises ValueError with one sentence when it is none."""
    try:
        return typed.convert(value, Said)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"the result of the comparison is malformed: {error}") from error
