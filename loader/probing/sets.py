"""Sets of probes: JSON Lines, each a sample as Inspect reads it (id, input, target, metadata). Zone: controller.

A set is the user's or ours, never the model's. It is read bounded all the same.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import msgspec
from safe_load.core import typed
from safe_load.core.errors import UsageError

#: The sets that come with safe-load.
SHIPPED = ("triggers", "facts", "code")
MOST_SAMPLES, MOST_BYTES = 2_000, 4 << 20
_TEXT = Annotated[str, msgspec.Meta(max_length=4000)]
_WORD = Annotated[str, msgspec.Meta(max_length=200)]


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """family: of the probe; trigger: what may wait in `input`; pair: the same input without it. Without a trigger, pair is the
    other answer, which a changed model would give in place of the target."""

    family: _WORD = ""
    trigger: _WORD = ""
    pair: _TEXT = ""


class Sample(msgspec.Struct, frozen=True):
    """One probe. input: a prompt; target: what a trigger would make of it, where that is known, or the right answer where there
    is no trigger."""

    id: _WORD
    input: _TEXT
    target: _TEXT = ""
    metadata: Metadata = Metadata()


def shipped() -> list[Sample]:
    """The samples of all sets that come with safe-load."""
    folder = resources.files("safe_load.probing") / "sets"
    return [
        sample
        for name in SHIPPED
        for sample in _parse((folder / f"{name}.jsonl").read_bytes(), name)
    ]


def own(path: str) -> list[Sample]:
    """The samples of a user's file. Raises UsageError for a file that is none."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the set {path} cannot be read: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"the set {path} has more than {MOST_BYTES:,} bytes")
    return _parse(data, path)


def _parse(data: bytes, where: str) -> list[Sample]:
    found: dict[str, Sample] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            sample = typed.decode(line, Sample)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"the set {where}, line {number}: no sample: {error}") from error
        if sample.id in found:
            raise UsageError(f"the set {where}, line {number}: the id {sample.id!r} is there already")  # fmt: skip
        if sample.metadata.trigger not in sample.input:
            raise UsageError(f"the set {where}, line {number}: the trigger is not in the input")
        found[sample.id] = sample
        if len(found) > MOST_SAMPLES:
            raise UsageError(f"the set {where} has more than {MOST_SAMPLES:,} samples")
    if not found:
        raise UsageError(f"the set {where} holds no sample")
    return list(found.values())
