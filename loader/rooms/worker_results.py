"""What comes back from inside a room, typed and bounded.

Zone: controller. The values are hostile JSON, already decoded: nothing of a value is used before it
has gone through `read_extracted` or `read_detonated`.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec
from safe_load.core import typed
from safe_load.export.extracted import (
    COUNT,
    CRC32,
    LINE,
    MAX_FILES,
    MAX_TENSORS,
    MAX_TEXTS,
    PATH,
    SHAPE,
    TENSOR_NAME,
    WORD,
    Extracted,
)

_SECONDS = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class DetonatedTensor(msgspec.Struct, frozen=True):
    """A tensor as the load produced it. dtype: as torch spells it, without "torch."."""

    name: TENSOR_NAME
    dtype: WORD
    shape: SHAPE
    crc32: CRC32 | None = None


class DetonatedFile(msgspec.Struct, frozen=True):
    """What opening one file with its own library gave. notes: what raised while it was used."""

    name: PATH
    ok: bool
    error: LINE | None = None
    missing_classes: Annotated[list[LINE], msgspec.Meta(max_length=MAX_TEXTS)] = []
    tensors: Annotated[list[DetonatedTensor], msgspec.Meta(max_length=MAX_TENSORS)] = []
    truncated: bool = False
    notes: Annotated[list[LINE], msgspec.Meta(max_length=MAX_TEXTS)] = []


class Step(msgspec.Struct, frozen=True):
    """One step of the walk through the folder."""

    step: LINE
    ok: bool
    error: LINE | None = None
    duration_s: _SECONDS = 0.0


class Names(msgspec.Struct, frozen=True):
    """How many tensors, and the names of the first of them."""

    count: COUNT = 0
    names: Annotated[list[LINE], msgspec.Meta(max_length=1000)] = []


class Fit(msgspec.Struct, frozen=True):
    """How the weights fit the architecture, as transformers itself would say."""

    architecture: LINE
    missing: Names = Names()
    unexpected: Names = Names()
    mismatched: Names = Names()


class Detonated(msgspec.Struct, frozen=True):
    """The result of worker 2."""

    files: Annotated[list[DetonatedFile], msgspec.Meta(max_length=MAX_FILES)]
    steps: Annotated[list[Step], msgspec.Meta(max_length=1000)] = []
    model: Fit | None = None


T = TypeVar("T")


def read_extracted(value: object) -> Extracted:
    """The result of extraction. Raises ValueError with one sentence when it is none."""
    return _read(value, Extracted, "extraction")


def read_detonated(value: object) -> Detonated:
    """The result of detonation. Raises ValueError with one sentence when it is none."""
    return _read(value, Detonated, "detonation")


def _read(value: object, kind: type[T], stage: str) -> T:
    try:
        return typed.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"the result of {stage} is malformed: {error}") from error
