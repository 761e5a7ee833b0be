"""What the room that writes configuration anew says, typed and bounded.

Zone: controller. Every text is hostile and is escaped here, once, for all who show it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
from safe_load.core import typed
from safe_load.core.card import Card
from safe_load.core.escape import visible

#: As safe_load.worker.rewrite.main bounds them.
_TEXT = Annotated[str, msgspec.Meta(max_length=1500)]
_PATH = Annotated[str, msgspec.Meta(max_length=4096)]
_SIZE = Annotated[int, msgspec.Meta(ge=0, le=512 << 20)]
_LINE = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class ConfigRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that a configuration asks for: as safe_load.worker.rewrite.config_requests has it. line: of its
    file, from 1; 0 where it is not known."""

    location: _TEXT
    value: _TEXT
    why: _TEXT
    kind: Literal["code", "kernel", "repository", "path", "plugin", "size", "template", "cost"]
    severity: Literal["low", "medium", "high"]
    finding: Literal["SL503", "SL504", "SL603"] = "SL503"
    line: _LINE = 0


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The room's result; see safe_load.worker.rewrite.main."""

    error: _TEXT | None
    files: Annotated[list[tuple[_PATH, _SIZE]], msgspec.Meta(max_length=10_000)]
    requests: Annotated[list[ConfigRequest], msgspec.Meta(max_length=500)]
    reaches: Annotated[list[tuple[_PATH, _TEXT, _LINE]], msgspec.Meta(max_length=50)]
    dropped: Annotated[list[tuple[_TEXT, _TEXT]], msgspec.Meta(max_length=40)]
    more_dropped: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    notes: Annotated[list[_TEXT], msgspec.Meta(max_length=500)]
    card: Card = Card()


@dataclass(frozen=True)
class Configuration:
    """What lies beside the weights, as it is exported.

    files: name -> content; requests: what the originals asked for besides; reaches: (file, what its
    template does, its line or 0) of templates that are more than text; notes: what a reader should know; error: why
    the model's own configuration does not read; card: what the model's card says.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    requests: list[ConfigRequest] = field(default_factory=list)
    reaches: list[tuple[str, str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    card: Card | None = None


def read(value: object) -> Said:
    """The room's result. Raises ValueError with one sentence when it is none."""
    try:
        return typed.convert(value, Said)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(f"the result of the rewrite room is malformed: {error}") from error


def configuration(said: Said, files: dict[str, bytes]) -> Configuration:
    """The same for all who come after. files: those that were written, checked."""
    notes = [visible(note) for note in said.notes]
    notes += [f"{visible(place)} was dropped: it {visible(why)}" for place, why in said.dropped]
    if said.more_dropped:
        notes.append(f"{said.more_dropped} more keys were dropped")
    return Configuration(
        files,
        [
            msgspec.structs.replace(
                each,
                location=visible(each.location),
                value=visible(each.value),
                why=visible(each.why),
            )
            for each in said.requests
        ],
        [(path, visible(what), line) for path, what, line in said.reaches],
        notes,
        visible(said.error) if said.error is not None else None,
        _card(said.card),
    )


def _card(card: Card) -> Card | None:
    """The card with its texts escaped; None where it says nothing."""
    told = {
        name: [visible(each, 200) for each in values]
        for name, values in msgspec.structs.asdict(card).items()
    }
    return Card(**told) if any(told.values()) else None
