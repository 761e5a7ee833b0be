"""What extraction says it read and wrote, typed and bounded: the plan that an export is held to.

Zone: controller. Every length and count has a bound here; rooms/worker_results.py reads it.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from safe_load.core.histogram import Histogram  # noqa: TC002 - msgspec looks it up
from safe_load.export.safetensors_check import MAX_RANK
from safe_load.export.structure import Structure  # noqa: TC002 - msgspec looks it up

MAX_FILES = 100_000
MAX_TENSORS = 1_000_000
MAX_TEXTS = 10_000

PATH = Annotated[str, msgspec.Meta(max_length=4096)]
TENSOR_NAME = Annotated[str, msgspec.Meta(max_length=65_536)]
WORD = Annotated[str, msgspec.Meta(max_length=64)]
TEXT = Annotated[str, msgspec.Meta(max_length=65_536)]
LINE = Annotated[str, msgspec.Meta(max_length=4096)]
COUNT = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
SHAPE = Annotated[tuple[COUNT, ...], msgspec.Meta(max_length=MAX_RANK)]
Carried = Literal["SL502", "SL503", "SL504", "SL505", "SL506", "SL706"]
CRC32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]


class ExtractedTensor(msgspec.Struct, frozen=True):
    """A tensor as the file's bytes say. bytes: its size.

    dtype and shape: as written to safetensors; torch_dtype, torch_shape: as torch has it, where a
    type that safetensors lacks is written as a view. kind: "numpy" for an array. made: put together from tensors of other names, which loading gives. path: the name that
    loading gives it, where that is another one. member: of an archive of which several members hold weights, the
    path of its own without the suffix; its name begins with that and a slash. sample: values of it, in hex.
    """

    name: TENSOR_NAME
    dtype: WORD
    shape: SHAPE
    bytes: COUNT
    torch_dtype: WORD
    crc32: CRC32 | None = None
    torch_shape: SHAPE | None = None
    kind: WORD = "torch"
    path: TENSOR_NAME | None = None
    made: bool = False
    member: TENSOR_NAME = ""
    histogram: Histogram | None = None
    sample: Annotated[str, msgspec.Meta(max_length=3200)] = ""


class NamedCallable(msgspec.Struct, frozen=True):
    """A callable that a pickle names or uses outside the allowlist. offset: in bytes, within `member`; at:
    in bytes, within the file; None where the member is packed.

    use: "named", "call", "new", "fields", "state", "items", "key", "native", "code" or "held" (see Ledger.called); text: "KIND: excerpt" where
    it is given code, a command, an address or a path.
    """

    name: LINE
    opcode: WORD
    member: LINE = ""
    offset: COUNT = 0
    arguments: TEXT = ""
    called: bool = False
    use: WORD = "named"
    text: LINE = ""
    at: COUNT | None = None


class ExtractedFile(msgspec.Struct, frozen=True):
    """What extraction read of one file. state, why: as in the report's files; carried: a finding's
    id and a sentence without its subject for what can run but is no pickle's call. status:
    "unsupported" is a format of which no weights are read. reason: one sentence unless status is "ok". runs: which file
    of its group (0 is itself), offset in that one, offset in the export, bytes: what is still to be copied there. packages: the
    top-level packages that its pickles name. left: tensors that loading gives and that are not
    exported, by the names that loading gives them."""

    name: PATH
    format: WORD
    status: Literal["ok", "not_loadable", "bomb", "no_tensors", "unsupported"]
    reason: TEXT | None = None
    tensors: Annotated[list[ExtractedTensor], msgspec.Meta(max_length=MAX_TENSORS)] = []
    tied: Annotated[list[list[TENSOR_NAME]], msgspec.Meta(max_length=MAX_TENSORS)] = []
    callables: Annotated[list[NamedCallable], msgspec.Meta(max_length=MAX_TEXTS)] = []
    metadata: Annotated[dict[TEXT, TEXT], msgspec.Meta(max_length=MAX_TEXTS)] = {}
    notes: Annotated[list[TEXT], msgspec.Meta(max_length=MAX_TEXTS)] = []
    runs: Annotated[
        list[tuple[COUNT, COUNT, COUNT, COUNT]], msgspec.Meta(max_length=MAX_TENSORS)
    ] = []
    structure: Structure | None = None
    state: Literal["opened", "data", "not_judged"] = "opened"
    why: TEXT = ""
    carried: Annotated[list[tuple[Carried, TEXT]], msgspec.Meta(max_length=MAX_TEXTS)] = []
    left: Annotated[list[ExtractedTensor], msgspec.Meta(max_length=MAX_TENSORS)] = []
    packages: Annotated[list[WORD], msgspec.Meta(max_length=1000)] = []


class Extracted(msgspec.Struct, frozen=True):
    """The result of worker 1."""

    files: Annotated[list[ExtractedFile], msgspec.Meta(max_length=MAX_FILES)]
