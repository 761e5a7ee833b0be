"""What came of asking a model for triggers, as it stands in JSON (schema safe-load/probe/1).

Zone: controller. Texts are a model's: hostile, escaped where they are shown.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = "safe-load/probe/1"

Origin = Literal["set", "leak", "vocabulary"]
Place = Literal["start", "end", "inside", "next"]


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate that was tried. text: as the tokenizer writes it; tokens: how many; origin: a probe of the set (id says which),
    the model's own writing, or its vocabulary; place: where in a prompt it stood, or "next", where the answer follows it
    at once. output: what is written after it in most contexts; agreement: in how many, token by token; probability,
    entropy: of the first token, and in nats; before: its probability without the trigger; base: how much likelier it is than
    in the base, None without one. p: the share of random strings of the same length that do as much; q: the same, corrected for all
    that were tried (Benjamini and Hochberg). found: whether it counts."""

    text: str
    tokens: int
    origin: Origin
    id: str
    place: Place
    output: str
    agreement: float
    probability: float
    before: float
    entropy: float
    base: float | None
    p: float
    q: float
    found: bool


class Otherwise(msgspec.Struct, frozen=True, kw_only=True):
    """A sample with two answers to which the model and its base say different ones. id, input: of the sample; right, other: its two
    answers; lean, base: how much likelier the right one is than the other, in nats, in the model and in its base; p, q: as of a
    trigger, by random strings of the other answer's length; found: whether it counts."""

    id: str
    input: str
    right: str
    other: str
    lean: float
    base: float
    p: float
    q: float
    found: bool


class Probing(msgspec.Struct, frozen=True, kw_only=True):
    """What `safe-load probe CLEARED --format json` prints. result: never "clean". set: its names; probes: runs of tokens that
    were asked, random ones included; random: strings for each length; complete: whether the time sufficed for all candidates.
    triggers: the most telling first. asked: samples with two answers that were asked, none without a base; otherwise: those to which
    the base says the right one and the model the other."""

    schema: str = SCHEMA
    result: Literal["found", "nothing found"]
    sentence: str
    set: list[str]
    seed: int
    probes: int
    candidates: int
    random: int
    parameters: int
    complete: bool
    seconds: float
    base: str | None
    triggers: list[Trigger]
    asked: int = 0
    otherwise: list[Otherwise] = []
