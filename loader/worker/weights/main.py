"""Compare the tensors of two models, and say how each pair differs. Zone: worker, in a room of its own.

What is returned is hostile all the same: the controller types and bounds it (safe_load.weights.results).
"""

from __future__ import annotations

import heapq
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safe_load.worker.refusal import RefusedError
from safe_load.worker.weights import names, reading
from safe_load.worker.weights.measure import measure, rank
from safe_load.worker.weights.pairs import Pair
from safe_load.worker.weights.precision import precision_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from safe_load.worker.weights.measure import Change
    from safe_load.worker.weights.reading import Tensor

#: Changed matrices whose rank is looked for: the most changed ones.
MOST_RANKS = 8
#: Bytes of a model card that are looked at, and what it says of its base there.
_CARD = 64 << 10
_RELATION = re.compile(r"^base_model_relation:\s*[\"']?(quantized|finetune|adapter|merge)\b", re.M)
_REORDERED = re.compile(r"blk\.\d+\.attn_[qk]\.weight$")


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Compare two models.

    Args:
        argument: {"a": [[path of safetensors, prefix of its tensors' names]], "b": [the same], "cards": [paths of model cards]}. A is
            what B is compared to.
        outputs: None.

    Returns:
        {"error": why nothing was compared, or null; "pairs": [{"name": of A, "other": of B, ... as
        measure.Change}]; "added": [names]; "missing": [names]; "relation": what a card says of its base,
        or null}.

    Raises:
        OSError: A file cannot be opened.
    """
    del outputs
    try:
        sides = [reading.tensors(argument[side]) for side in ("a", "b")]
        return {"error": None, **_compare(*sides[0], *sides[1]), "relation": _relation(argument)}
    except RefusedError as error:
        return {
            "error": error.reason[:500], "pairs": [], "added": [], "missing": [], "relation": None,
        }  # fmt: skip


def _compare(
    a: Mapping[str, Tensor], tied_a: Mapping[str, str], b: Mapping[str, Tensor], tied_b: Mapping[str, str]
) -> dict[str, Any]:  # fmt: skip
    found = names.match([*a, *tied_a], [*b, *tied_b])
    swapped = names.is_gguf(a) != names.is_gguf(b)
    side = ("b" if names.is_gguf(a) else "a") if swapped else ""
    usual = _usual(a.values()), _usual(b.values())
    pairs: list[dict[str, Any]] = []
    changes: list[tuple[dict[str, Any], Change]] = []
    done: dict[tuple[str, str], dict[str, Any]] = {}
    for name, other in found.items():
        ours, theirs = a[tied_a.get(name, name)], b[tied_b.get(other, other)]
        key = ours.name, theirs.name
        if key in done:
            pairs.append({**done[key], "name": name, "other": other})
            continue
        moved = side if _REORDERED.match(names.purpose(name) or "") else ""
        change = measure(Pair(ours, theirs, reordered=moved, usual=usual))
        done[key] = told = _told(name, other, ours, theirs, change)
        pairs.append(told)
        if change.energy:
            changes.append((told, change))
            changes.sort(key=lambda each: -(each[0]["relative"] or 0.0))
            for _, past in changes[MOST_RANKS:]:
                past.blocks = None
            del changes[MOST_RANKS:]
    for told, change in changes:
        told["rank"] = rank(change)
    return {
        "pairs": pairs,
        "missing": _apart([*a, *tied_a], set(found), a, tied_a, found),
        "added": _apart([*b, *tied_b], set(found.values()), b, tied_b, set(found.values())),
    }


def _usual(tensors: Iterable[Tensor]) -> int:
    """The bits of mantissa that the largest float32 tensors of a model have, where they agree."""
    wide = heapq.nlargest(5, (each for each in tensors if each.dtype == "F32"), lambda t: t.size)
    found = {precision_of(each.read(0, min(each.size // 4, 1 << 16))) for each in wide} - {None}
    return next(iter(found)) or 23 if len(found) == 1 else 23


def _apart(
    all_names: Sequence[str],
    matched: set[str],
    tensors: Mapping[str, Tensor],
    tied: Mapping[str, str],
    kept: Any,
) -> list[str]:
    """The names without a partner, but those of a tensor that another name has a partner for: tied ones,
    which one side writes twice and the other once."""
    by_size: dict[tuple[Any, ...], list[Tensor]] = {}
    for name in kept:
        tensor = tensors[tied.get(name, name)]
        by_size.setdefault((tensor.dtype, tensor.shape), []).append(tensor)
    apart = []
    for name in all_names:
        if name in matched:
            continue
        tensor = tensors[tied.get(name, name)]
        twins = by_size.get((tensor.dtype, tensor.shape), [])
        large = tensor.size >= 1 << 12
        if not (large and any(Pair(tensor, twin).same_bytes() for twin in twins)):
            apart.append(name)
    return apart


def _told(name: str, other: str, a: Tensor, b: Tensor, change: Change) -> dict[str, Any]:
    return {
        "name": name,
        "other": other,
        "dtypes": [a.dtype, b.dtype],
        "shape": list(a.shape[:64]),
        "other_shape": list(b.shape[:64]),
        "identical": change.identical,
        "relative": _number(change.relative),
        "energy": [round(share, 9) for share in change.energy],
        "balanced": [round(share, 9) for share in change.balanced],
        "rounds": change.rounds,
        "levels": None if change.levels is None else [round(each, 6) for each in change.levels],
        "cosine": _number(change.cosine),
        "resized": change.resized,
        "nonfinite": list(change.nonfinite),
        "zeroed": round(change.zeroed, 6),
        "rank": None,
    }


def _number(value: float | None) -> float | None:
    """A number that JSON can carry."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    return max(-1e30, min(1e30, float(f"{value:.6g}")))


def _relation(argument: dict[str, Any]) -> str | None:
    for place in argument["cards"]:
        with Path(place).open("rb") as file:
            text = file.read(_CARD).decode("utf-8", "replace")
        front = text[3:].partition("\n---")[0] if text.startswith("---") else ""
        if (said := _RELATION.search(front)) is not None:
            return said[1]
    return None
