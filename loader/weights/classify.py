"""From measured pairs of tensors to the kind of change. Zone: controller.

docs/weights.md explains each kind and reports the measurements behind the thresholds here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from safe_load.core.weights import Difference, Kind, TensorChange, place_of
from safe_load.render.story import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from safe_load.weights.results import Measured, Said

#: Tensors that are few: this many, or this share of all.
FEW, FEW_SHARE = 4, 0.06
#: Nearly rank one: the share of the first direction in what stands out of the noise, and how far it stands out.
SPIKE, OUT_OF_NOISE = 0.7, 3.0
#: The same for tensors of no layer: what training does to an embedding or a head alone comes near.
SPIKE_OUTSIDE = 0.97
#: Far out among its peers, in robust standard deviations, with a change that is this much one direction.
FAR, FAR_TOP1 = 6.5, 0.45
#: Noise: the first direction against that of independent noise of the same shape; more where the values of
#: one side plainly lie on few levels.
WHITE, WHITE_ON_LEVELS, FEW_LEVELS = 1.5, 2.0, 0.75
#: Share of different neighbours by which one side is coarser than the other.
COARSER = 0.004
#: Relative change of a quantisation: with proof of levels, and without.
COARSE_CHANGE, FINE_CHANGE = 0.6, 0.03
#: Cosine of two models that have nothing to do with each other, at most; and share of numbers that must pair.
STRANGERS, PAIRED = 0.3, 0.5
#: Directions of an adapter at most, and share of the changed matrices whose rank must be so low.
ADAPTER_RANK, ADAPTER_SHARE = 72, 0.8
#: The least spread of the changes of peers that is assumed, in natural logarithms.
_SPREAD = 0.2
_LEAST, _FARTHEST = 1e-9, 99.0


@dataclass(frozen=True)
class Judged:
    """difference: as it is printed; outliers: names of B that make it surgical; sentence: the kind in words;
    notes: what a reader should know."""

    difference: Difference
    outliers: tuple[str, ...] = ()
    sentence: str = ""
    notes: list[str] = field(default_factory=list)


def classify(said: Said) -> Judged:
    """The kind of change, and every tensor, the most telling first."""
    zs = _distances(said.pairs)
    kind, rank, outliers = _kind(said, zs)
    changes = sorted(said.pairs, key=lambda pair: _rank_of(pair, pair in outliers, zs))
    tensors = [_told(pair, zs) for pair in changes if not _same(pair)]
    tensors += [TensorChange(name, "added") for name in sorted(said.added)]
    tensors += [TensorChange(name, "missing") for name in sorted(said.missing)]
    tensors += [_told(pair, zs) for pair in said.pairs if _same(pair)]
    return Judged(
        Difference(kind=kind, rank=rank, tensors=tensors),
        tuple(pair.other for pair in changes if pair in outliers),
        _sentence(kind, rank, said, outliers),
        _notes(said),
    )


def _kind(said: Said, zs: dict[str, float]) -> tuple[Kind, int | None, list[Measured]]:
    pairs = said.pairs
    changed = [pair for pair in pairs if not _same(pair)]
    if _strangers(said):
        return "unrelated", None, []
    beyond = [pair for pair in changed if not _rounding(pair)]
    if not beyond:
        if any(pair.resized for pair in changed) or (said.added and not _buffers(said.added)):
            return "fine-tune", None, []
        return ("rounding" if changed else "identical"), None, []
    few = max(FEW, round(FEW_SHARE * len(pairs)))
    matrices = [pair for pair in beyond if pair.energy]
    ranks = [pair.rank for pair in matrices if pair.rank is not None]
    asked = min(8, len(matrices))
    low = len(ranks) >= max(1, ADAPTER_SHARE * asked) and len(matrices) >= 0.5 * len(beyond)
    if len(beyond) <= few:
        spiky = [pair for pair in matrices if _spiky(pair)]
        if spiky:
            return "surgical", None, spiky
        if len(beyond) == 1 and _poked(beyond[0]):
            return "surgical", None, beyond
        if low and len(matrices) > 1:
            return "adapter", max(ranks), []
        return "fine-tune", None, []
    if low and max(ranks) <= ADAPTER_RANK:
        return "adapter", max(ranks), []
    peers = _changed_kinds(pairs)
    far = [
        pair
        for pair in matrices
        if zs.get(pair.name, 0.0) >= FAR
        and pair.energy[0] >= FAR_TOP1
        and _spiky(pair)
        and place_of(pair.name)[0] in peers
    ]
    if far and len(far) <= few:
        return "surgical", None, far
    return "fine-tune", None, []


def _other_parts(said: Said) -> bool:
    """Whether B has a head that A has not, or lacks layers, which no conversion leaves out."""
    if said.added:
        return not _buffers(said.added)
    layers = [name for name in said.missing if place_of(name)[1] is not None]
    return bool(layers) and not _buffers(layers)


def _same(pair: Measured) -> bool:
    return pair.identical


def _strangers(said: Said) -> bool:
    """Whether the models have too little in common to speak of a change."""
    sizes = {pair.name: math.prod(pair.shape) for pair in said.pairs}
    comparable = [pair for pair in said.pairs if pair.identical or pair.relative is not None]
    if not comparable or len(comparable) < PAIRED * (len(said.pairs) + len(said.missing)):
        return True
    matrices = [pair for pair in comparable if len(pair.shape) > 1] or comparable
    total = sum(sizes[pair.name] for pair in matrices)
    alien = sum(
        sizes[pair.name]
        for pair in matrices
        if not pair.identical and pair.cosine is not None and pair.cosine < STRANGERS
    )
    return alien > PAIRED * total


def _buffers(names: Sequence[str]) -> bool:
    """Whether these are all tables that libraries compute, and some files hold."""
    ends = ("position_ids", "inv_freq", "attn.bias", "attn.masked_bias", "num_batches_tracked", "rope_freqs.weight")  # fmt: skip
    return all(name.endswith(ends) for name in names)


def _rounding(pair: Measured) -> bool:
    """Whether the change is what another precision or a quantisation makes."""
    if pair.rounds:
        return True
    if pair.relative is None or pair.resized or pair.nonfinite[0] != pair.nonfinite[1]:
        return False
    if _pruned(pair):
        return False
    coarser = pair.levels is not None and abs(pair.levels[0] - pair.levels[1]) > COARSER
    if pair.relative > (COARSE_CHANGE if coarser else FINE_CHANGE):
        return False
    if not pair.energy:
        return coarser
    strong = coarser and pair.levels is not None and min(pair.levels) < FEW_LEVELS
    return _excess(pair) < (WHITE_ON_LEVELS if strong else WHITE)


def _pruned(pair: Measured) -> bool:
    """Whether numbers were set to 0, and the others did not become fewer."""
    return (
        pair.zeroed >= 0.02
        and pair.levels is not None
        and pair.levels[1] >= pair.levels[0] - pair.zeroed - 0.02
    )


def _excess(pair: Measured) -> float:
    """The first direction's share against that in independent noise (the edge of Marchenko and Pastur)."""
    rows, columns = pair.shape[0], max(1, math.prod(pair.shape[1:]))
    edge = (math.sqrt(rows) + math.sqrt(columns)) ** 2 / (rows * columns)
    return min(pair.energy[0], *pair.balanced[:1]) / edge


def _spiky(pair: Measured) -> bool:
    """Whether what stands out of the noise is nearly one direction: as it is, or, where one side is
    quantised, once the noise is even."""
    coarser = pair.levels is not None and abs(pair.levels[0] - pair.levels[1]) > COARSER
    if coarser and pair.balanced:
        return _one_direction(pair, pair.balanced)
    return _one_direction(pair, pair.energy)


def _one_direction(pair: Measured, energy: Sequence[float]) -> bool:
    noise = energy[-1]
    out = [max(0.0, share - noise) for share in energy[:8]]
    needed = SPIKE if place_of(pair.name)[1] is not None else SPIKE_OUTSIDE
    return (
        sum(out) > 0
        and out[0] >= needed * sum(out)
        and energy[0] >= OUT_OF_NOISE * max(energy[1], 1e-12)
    )


def _poked(pair: Measured) -> bool:
    """Whether a change of one tensor alone is one that no training makes: few directions, or one vector of
    a layer."""
    if pair.energy:
        return sum(pair.energy[:8]) >= 0.9
    return len(pair.shape) == 1 and place_of(pair.name)[1] is not None


def _size(pair: Measured) -> float:
    """The change by which peers are compared: of a matrix, the part in its first direction."""
    if pair.identical or pair.relative is None or pair.rounds:
        return 0.0
    return pair.relative * (pair.energy[0] ** 0.5 if pair.energy else 1.0)


def _distances(pairs: Iterable[Measured]) -> dict[str, float]:
    """Name -> robust z of its change among its peers, for tensors with at least two peers: beyond what is
    usual for its kind, and for its layer, as training may change the first layers most."""
    kinds: dict[str, list[tuple[Measured, float]]] = {}
    for pair in pairs:
        kind, layer = place_of(pair.name)
        if layer is not None:
            kinds.setdefault(kind, []).append((pair, math.log(max(_size(pair), _LEAST))))
    away: dict[str, float] = {}
    layers: dict[tuple[int | None, bool], list[str]] = {}
    for peers in kinds.values():
        if len(peers) >= 3:
            middle = median(size for _, size in peers)
            for pair, size in peers:
                away[pair.name] = size - middle
                layers.setdefault((place_of(pair.name)[1], len(pair.shape) > 1), []).append(
                    pair.name
                )
    for names in layers.values():
        if len(names) >= 3:
            usual = median(away[name] for name in names)
            away |= {name: away[name] - usual for name in names}
    if not away:
        return {}
    spread = max(_SPREAD, 1.4826 * median(map(abs, away.values())))
    return {name: max(-_FARTHEST, min(_FARTHEST, far / spread)) for name, far in away.items()}


def _changed_kinds(pairs: Iterable[Measured]) -> set[str]:
    """The kinds of which most tensors changed: where training left the others alone, none is far out."""
    changed: dict[str, list[bool]] = {}
    for pair in pairs:
        changed.setdefault(place_of(pair.name)[0], []).append(
            not pair.identical and not pair.rounds
        )
    return {kind for kind, each in changed.items() if sum(each) > len(each) / 2}


def _rank_of(pair: Measured, outlier: bool, zs: dict[str, float]) -> tuple[float, ...]:
    """Sorts the most telling pair first."""
    telling = 0 if outlier else 1 if not _rounding(pair) else 2
    strength = _size(pair)
    far = max(0.0, zs.get(pair.name, 0.0)) if telling < 2 and pair.energy else 0.0
    return (
        telling,
        -(far if far >= FAR / 2 else 0.0),
        not pair.energy,
        -strength,
        -(pair.relative or 0.0),
    )


def _told(pair: Measured, zs: dict[str, float]) -> TensorChange:
    z = zs.get(pair.name)
    return TensorChange(
        pair.other,
        "identical" if pair.identical else "changed",
        pair.relative if not pair.identical else 0.0,
        round(pair.energy[0], 6) if pair.energy else None,
        round(min(1.0, sum(pair.energy[:8])), 6) if pair.energy else None,
        None if z is None else round(z, 2),
    )


def _sentence(kind: Kind, rank: int | None, said: Said, outliers: Sequence[Measured]) -> str:
    changed = sum(not pair.identical for pair in said.pairs)
    layers = {place_of(pair.name)[1] for pair in said.pairs if not pair.identical} - {None}
    span = f" in {plural(len(layers), 'layer')}" if layers else ""
    differ = "tensor differs" if changed == 1 else "tensors differ"
    return {
        "identical": f"all {len(said.pairs)} common tensors are the same",
        "rounding": f"{changed} {differ} by what another precision or a quantisation makes",
        "adapter": f"{changed} {differ} by at most rank {rank}{span}, as a merged adapter makes",
        "surgical": f"{len(outliers)} of {len(said.pairs)} tensors {'stands' if len(outliers) == 1 else 'stand'} out with a change of nearly rank one",
        "fine-tune": f"{plural(changed, 'tensor')} changed{span}, as training makes",
        "unrelated": f"the models have too little in common: {plural(len(said.pairs), 'pair')} of tensors; {len(said.missing)} of A and {len(said.added)} of B are in none",
    }[kind]


def _notes(said: Said) -> list[str]:
    notes = []
    odd = [pair for pair in said.pairs if any(pair.nonfinite)]
    if odd:
        first = odd[0]
        notes.append(
            f"NaN or infinities are in {plural(len(odd), 'tensor')}, {first.other} the first of them "
            f"({first.nonfinite[0]} in A, {first.nonfinite[1]} in B); the finite numbers were compared"
        )
    shapes = [pair for pair in said.pairs if not pair.identical and pair.relative is None]
    if shapes:
        first = shapes[0]
        notes.append(
            f"not compared, because shapes or types differ: {plural(len(shapes), 'tensor')}, {first.other} the first "
            f"({first.dtypes[0]} {first.shape} in A, {first.dtypes[1]} {first.other_shape} in B)"
        )
    if resized := [pair.other for pair in said.pairs if pair.resized]:
        notes.append(
            f"{resized[0]} has another number of rows; the common rows were compared"
            + (f"; {len(resized) - 1} more likewise" if len(resized) > 1 else "")
        )
    return notes
