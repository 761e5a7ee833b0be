"""What comes back from inside a room, typed and bounded.

Zone: controller. The values are hostile JSON, already decoded: every length and count has a bound
here, and nothing of a value is used before it has gone through `read_extracted` or
`read_detonated`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from safe_load.safetensors_file import MAX_RANK
from safe_load.structure import Structure  # noqa: TC002 - msgspec looks it up

MAX_FILES = 100_000
MAX_TENSORS = 1_000_000
MAX_TEXTS = 10_000

_PATH = Annotated[str, msgspec.Meta(max_length=4096)]
_TENSOR_NAME = Annotated[str, msgspec.Meta(max_length=65_536)]
_WORD = Annotated[str, msgspec.Meta(max_length=64)]
_TEXT = Annotated[str, msgspec.Meta(max_length=65_536)]
_LINE = Annotated[str, msgspec.Meta(max_length=4096)]
_COUNT = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_SHAPE = Annotated[tuple[_COUNT, ...], msgspec.Meta(max_length=MAX_RANK)]
_CRC32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
_SECONDS = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class ExtractedTensor(msgspec.Struct, frozen=True):
    """A tensor as the file's bytes say. bytes: its size.

    dtype and shape: as written to safetensors; torch_dtype, torch_shape: as torch has it, where a
    type that safetensors lacks is written as a view. kind: "numpy" for an array.
    """

    name: _TENSOR_NAME
    dtype: _WORD
    shape: _SHAPE
    bytes: _COUNT
    torch_dtype: _WORD
    crc32: _CRC32 | None = None
    torch_shape: _SHAPE | None = None
    kind: _WORD = "torch"


class NamedCallable(msgspec.Struct, frozen=True):
    """A callable that a pickle names outside the allowlist. offset: in bytes, within `member`."""

    name: _LINE
    opcode: _WORD
    member: _LINE = ""
    offset: _COUNT = 0
    arguments: _TEXT = ""
    called: bool = False


class ExtractedFile(msgspec.Struct, frozen=True):
    """What extraction read of one file. reason: one sentence unless status is "ok". runs: offset in
    the file, offset in its export, bytes: what is still to be copied there."""

    name: _PATH
    format: _WORD
    status: Literal["ok", "not_loadable", "bomb", "no_tensors"]
    reason: _TEXT | None = None
    tensors: Annotated[list[ExtractedTensor], msgspec.Meta(max_length=MAX_TENSORS)] = []
    tied: Annotated[list[list[_TENSOR_NAME]], msgspec.Meta(max_length=MAX_TENSORS)] = []
    callables: Annotated[list[NamedCallable], msgspec.Meta(max_length=MAX_TEXTS)] = []
    metadata: Annotated[dict[_TEXT, _TEXT], msgspec.Meta(max_length=MAX_TEXTS)] = {}
    notes: Annotated[list[_TEXT], msgspec.Meta(max_length=MAX_TEXTS)] = []
    runs: Annotated[list[tuple[_COUNT, _COUNT, _COUNT]], msgspec.Meta(max_length=MAX_TENSORS)] = []
    structure: Structure | None = None


class Extracted(msgspec.Struct, frozen=True):
    """The result of worker 1."""

    files: Annotated[list[ExtractedFile], msgspec.Meta(max_length=MAX_FILES)]


class DetonatedTensor(msgspec.Struct, frozen=True):
    """A tensor as the load produced it. dtype: as torch spells it, without "torch."."""

    name: _TENSOR_NAME
    dtype: _WORD
    shape: _SHAPE
    crc32: _CRC32 | None = None


class DetonatedFile(msgspec.Struct, frozen=True):
    """What opening one file with its own library gave. notes: what raised while it was used."""

    name: _PATH
    ok: bool
    error: _LINE | None = None
    missing_classes: Annotated[list[_LINE], msgspec.Meta(max_length=MAX_TEXTS)] = []
    tensors: Annotated[list[DetonatedTensor], msgspec.Meta(max_length=MAX_TENSORS)] = []
    truncated: bool = False
    notes: Annotated[list[_LINE], msgspec.Meta(max_length=MAX_TEXTS)] = []


class Step(msgspec.Struct, frozen=True):
    """One step of the walk through the folder."""

    step: _LINE
    ok: bool
    error: _LINE | None = None
    duration_s: _SECONDS = 0.0


class Names(msgspec.Struct, frozen=True):
    """How many tensors, and the names of the first of them."""

    count: _COUNT = 0
    names: Annotated[list[_LINE], msgspec.Meta(max_length=1000)] = []


class Fit(msgspec.Struct, frozen=True):
    """How the weights fit the architecture, as transformers itself would say."""

    architecture: _LINE
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
        return msgspec.convert(value, kind, strict=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"what {stage} sent back is not a result: {error}") from error
