"""How the tensors of one model differ from those of another, as it stands in JSON (schema safe-load/diff/1).

Zone: controller. Names are hostile text, escaped where they are shown.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from safe_load.core.claims import Claim  # noqa: TC002 - msgspec evaluates the annotation

SCHEMA = "safe-load/diff/1"

Kind = Literal["identical", "rounding", "adapter", "surgical", "fine-tune", "unrelated"]
State = Literal["identical", "added", "missing", "changed"]

#: Before the number of a layer, in names: encoder.layer.3, model.layers.3, h.3, blk.3.
_LAYER = re.compile(
    r"(?:^|(?<=\.))(layers?|h|blocks?|blk|resblocks|down_blocks|up_blocks)\.(\d+)(?=\.)"
)


class TensorChange(msgspec.Struct, frozen=True):
    """One tensor. name: that of B, or of A where B has none. relative: norm of the difference over the norm
    in A. top1, top8: share of the difference's energy in its first and first eight singular directions, of
    what rounding does not explain; None for what is no matrix of 64 by 64. z: how far its change lies from
    those of its peers, the tensors of the same kind in other layers, in robust standard deviations; None
    without peers."""

    name: str
    state: State
    relative: float | None = None
    top1: float | None = None
    top8: float | None = None
    z: float | None = None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What `safe-load diff A B --format json` prints. rank: of an adapter. tensors: the most telling first."""

    schema: str = SCHEMA
    kind: Kind = msgspec.field(name="class")
    rank: int | None = None
    tensors: list[TensorChange] = []


class Weights(msgspec.Struct, frozen=True):
    """What a report says of the change against a base. claim: what the user or a card says that it is;
    sentence: the kind of change in words; outliers: the tensors that make it surgical."""

    base: str
    claim: Claim | None
    sentence: str
    outliers: list[str]
    difference: Difference


def place_of(name: str) -> tuple[str, int | None]:
    """What a tensor is for, and the number of its layer: ("encoder.attention.self.query.weight", 3).

    Names that differ in nothing but the number of their layer are of one kind: peers.
    """
    if (layer := _LAYER.search(name)) is None:
        return name, None
    number = int(layer[2][:9])
    rest = name[: layer.start()] + name[layer.end() + 1 :]
    return rest, number
