"""What the room that asks a model says, typed and bounded. Zone: controller."""

from __future__ import annotations

from typing import Annotated

import msgspec
from safe_load.core import typed
from safe_load.core.probe import Origin, Place  # noqa: TC002 - msgspec evaluates the annotations

_TEXT = Annotated[str, msgspec.Meta(max_length=300)]
_SHARE = Annotated[float, msgspec.Meta(ge=0, le=1)]
_COUNT = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
_LEAN = Annotated[float, msgspec.Meta(ge=-1e4, le=1e4)]


class Tested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One candidate; see safe_load.core.probe.Trigger. length, written: tokens of it and of its answer; score: how much it
    fixes the first token of the answer; firm: the whole answer; peer: the same of the best candidate with another answer; nulls: random strings of its length; above: those
    of at least its score."""

    text: _TEXT
    length: _COUNT
    origin: Origin
    ident: _TEXT
    place: Place
    output: _TEXT
    written: _COUNT
    score: _SHARE
    firm: _SHARE
    peer: _SHARE
    agreement: _SHARE
    probability: _SHARE
    before: _SHARE
    entropy: Annotated[float, msgspec.Meta(ge=0, le=30)]
    base: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None
    nulls: _COUNT
    above: _COUNT


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sample where the model leans otherwise than its base; see safe_load.worker.probing.choices."""

    ident: _TEXT
    lean: _LEAN
    base: _LEAN
    nulls: _COUNT
    above: _COUNT


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The room's result; see safe_load.worker.probing.main."""

    error: Annotated[str, msgspec.Meta(max_length=500)] | None
    parameters: _COUNT = 0
    chat: bool = False
    probes: _COUNT = 0
    candidates: _COUNT = 0
    complete: bool = False
    tested: Annotated[list[Tested], msgspec.Meta(max_length=100)] = []
    asked: _COUNT = 0
    otherwise: Annotated[list[Choice], msgspec.Meta(max_length=2_000)] = []
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e7)] = 0.0


def read(value: object) -> Said:
    """The room's result. Raises ValueError with one sentence when it is none."""
    try:
        return typed.convert(value, Said)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"the result of the probes is malformed: {error}") from error
