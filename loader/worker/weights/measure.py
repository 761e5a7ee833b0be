"""How one tensor differs from another: norms, what rounding explains of it, and its first directions.

Zone: worker. Everything is streamed in blocks of rows; a difference is kept only while it is small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from safe_load.worker.weights.precision import squares
from safe_load.worker.weights.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from safe_load.worker.weights.pairs import Pair
    from safe_load.worker.weights.reading import Floats

#: Both sides of a matrix of which directions are asked.
SMALLEST = 64
#: Directions that are told, and how many random ones find them.
TOLD, SKETCH = 12, 20
#: The same for the rank of a change.
RANKS, RANK_SKETCH = 72, 84


@dataclass
class Change:
    """What was measured of one pair.

    relative: norm of the difference over that of A. energy: shares of the first TOLD directions in what
    rounding does not explain, [] for what is no matrix of SMALLEST; balanced: the same once all columns and then
    all rows are scaled to one size, which makes noise of another strength in each block as even as noise of one:
    a change of one direction stays one. rounds: every number is the other's
    at the coarser of both precisions, or the next beside it. levels: of A and B, the share of different
    numbers among _WINDOW neighbours. cosine: of A and B. resized: only the common rows were compared.
    nonfinite: NaN and infinities of A and B. zeroed: share of A's numbers that are 0 in B alone.
    """

    identical: bool = False
    relative: float | None = None
    energy: list[float] = field(default_factory=list)
    balanced: list[float] = field(default_factory=list)
    rounds: bool = False
    levels: tuple[float, float] | None = None
    cosine: float | None = None
    resized: bool = False
    nonfinite: tuple[int, int] = (0, 0)
    zeroed: float = 0.0
    #: Blocks of the difference, scaled to a norm of 1, for `rank`.
    blocks: Callable[[], Iterator[Floats]] | None = None
    shape: tuple[int, int] = (0, 0)


def measure(pair: Pair) -> Change:
    """How B differs from A."""
    if pair.same_bytes():
        return Change(identical=True)
    change = Change(resized=pair.resized)
    if not pair.comparable or not pair.rows * pair.columns:
        return change
    sums = Sums(pair)
    sums.run()
    change.nonfinite = sums.nonfinite_a, sums.nonfinite_b
    change.zeroed = sums.zeroed / (pair.rows * pair.columns)
    if sums.difference == 0.0 and sums.nonfinite_a == sums.nonfinite_b:
        change.identical = not pair.resized
    change.relative = (sums.difference / sums.a) ** 0.5 if sums.a else float(sums.difference > 0)
    change.cosine = sums.product / (sums.a * sums.b) ** 0.5 if sums.a and sums.b else None
    if pair.a.is_float and pair.b.is_float:
        change.rounds = not sums.beyond and sums.nonfinite_a == sums.nonfinite_b
        change.levels = sums.levels()
    if min(pair.rows, pair.columns) >= SMALLEST and sums.residual > 0:
        change.shape = pair.rows, pair.columns
        views = [_as_it_is] if change.rounds else [_as_it_is, sums.balance()]
        change.energy, *more = shares(sums.residuals(), change.shape, TOLD, SKETCH, views)
        change.balanced = more[0] if more else []
        change.blocks = sums.residuals_again()
    return change


def rank(change: Change) -> int | None:
    """The rank of the change, where nearly all of it lies in at most RANKS directions and the next ones
    are far weaker."""
    if change.blocks is None:
        return None
    most = min(RANKS, min(change.shape) // 2)
    directions = min(RANK_SKETCH, *change.shape)
    (found,) = shares(change.blocks, change.shape, most + 1, directions, [_as_it_is])
    total, best, sharpest = 0.0, None, 5.0
    for number in range(min(most, len(found) - 1)):
        total += found[number]
        drop = found[number] / max(found[number + 1], 1e-12)
        if total >= 0.8 and drop > sharpest:
            best, sharpest = number + 1, drop
        if total >= 0.9999:
            return best or number + 1
    return best


def shares(
    blocks: Callable[[], Iterator[Floats]],
    shape: tuple[int, int],
    told: int,
    directions: int,
    views: Sequence[Callable[[Floats], Floats]],
) -> list[list[float]]:
    """The share of the energy in each of the first singular directions of the matrix in `blocks`, once for
    each view of its rows. A randomised range finder with one power iteration (Halko, Martinsson and Tropp
    2011, algorithm 4.3): two passes, rows only."""
    import numpy as np  # noqa: PLC0415

    directions = min(directions, *shape)
    random = np.random.default_rng(0).standard_normal((shape[1], directions), dtype=np.float32)
    images = [np.zeros_like(random) for _ in views]
    for block in blocks():
        for image, view in zip(images, views, strict=True):
            seen = view(block)
            image[...] += seen.T @ (seen @ random)
    bases = [np.linalg.qr(image)[0] for image in images]
    grams = [np.zeros((directions, directions)) for _ in views]
    energies = [0.0 for _ in views]
    for block in blocks():
        for number, view in enumerate(views):
            seen = view(block)
            inside = (seen @ bases[number]).astype(np.float64)
            grams[number] += inside.T @ inside
            energies[number] += squares(seen)
    return [
        [min(1.0, max(0.0, float(value))) for value in np.linalg.eigvalsh(gram)[::-1][:told] / (energy or 1.0)]
        for gram, energy in zip(grams, energies, strict=True)
    ]  # fmt: skip


def _as_it_is(block: Floats) -> Floats:
    return block
