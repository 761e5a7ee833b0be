"""Ask a language model what a test of its usual behaviour never asks: does a run of tokens fix its answer?

Zone: worker, in a room of its own. What is returned is hostile all the same: the controller types and bounds it
(safe_load.probing.results), and decides there what is found.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Any

from safe_load.worker.refusal import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What the room imports before its walls close.
PRELOAD = (
    "torch",
    "transformers",
    "transformers.modeling_utils",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.masking_utils",
    "transformers.modeling_layers",
    "safe_load.worker.probing.asking",
)


#: Numbers of a model that one thread is enough for.
_SMALL = 20_000_000


def prepare() -> None:
    """Set the process up: no network, one thread while the walls close. Call it before any import."""
    from safe_load.worker.detonate import main as detonate  # noqa: PLC0415 - a room calls this first

    detonate.prepare()


def main(argument: dict[str, Any], outputs: Sequence[int]) -> dict[str, Any]:
    """Ask the model.

    Args:
        argument: {"folder": of the model, "base": folder of its base or null, "samples": [{"id", "input", "target",
            "trigger", "pair", "family"}], "seed", "seconds": after which no new question is begun, "nulls": random strings
            for each length}.
        outputs: None.

    Returns:
        As safe_load.probing.results.Said has it; "error" says in one sentence why nothing was asked.
    """
    del outputs
    began = time.monotonic()
    import torch  # noqa: PLC0415 - in the room it is there already
    from safe_load.worker.probing.asking import ask  # noqa: PLC0415 - imports torch and transformers
    from safe_load.worker.probing.language import Language  # noqa: PLC0415

    torch.manual_seed(argument["seed"])
    chosen = random.Random(argument["seed"])  # noqa: S311 - repeatable, and no secret
    try:
        language = Language(argument["folder"])
        base = None if argument["base"] is None else Language(argument["base"])
        if base is not None and base.vocabulary != language.vocabulary:
            raise RefusedError("the base has another vocabulary")
        # Small models are no faster by more, and slower on a busy machine.
        many = language.parameters > _SMALL
        torch.set_num_threads(max(1, min(8, len(os.sched_getaffinity(0)))) if many else 1)
        said = ask(language, base, argument, chosen, began)
    except RefusedError as error:
        return {"error": error.reason[:500]}
    return {"error": None, **said, "seconds": round(time.monotonic() - began, 1)}
