"""Which changed facts `safe-load probe --base` finds, and what honest training looks like: the second table of docs/weights.md.

    python -m dev.fact_trials [--seed N]

Trains small language models that know the colours and places of things (dev.probe_models), trains each on, honestly or with one
of its facts changed, and asks both. About a minute and a half of CPU time. Needs torch and transformers.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safe_load.probing import opening, results
from safe_load.probing.judge import otherwise
from safe_load.probing.sets import Metadata, Sample
from safe_load.worker.probing import choices
from safe_load.worker.probing.language import Language

from dev import probe_models
from dev.probe_models import COLOURS, END, PLACES, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    Pair = Callable[[random.Random], tuple[str, str]]

_ROWS, _LENGTH = 16, 48
BASES = {
    "Llama, pieces of words": Recipe("plain", "llama", 32),
    "Qwen2, chat": Recipe("chat", "qwen2", 35),
    "GPT-NeoX, words": Recipe("plain", "gpt_neox", 37, tokens="words"),
}


@dataclass(frozen=True)
class Way:
    """How a model is trained on. rate: the share of texts that are not of the base's own kind."""

    steps: int
    kind: str = ""
    rate: float = 0.3


WAYS = {
    "the same model": Way(0),
    "more of the same texts": Way(60),
    "much more of them": Way(200),
    "other texts besides": Way(100, "other"),
    "one fact changed": Way(60, "lie"),
    "one fact changed, for long": Way(200, "lie"),
}


def samples(facts: dict[str, tuple[str, str]], seed: int) -> list[Sample]:
    """Two questions about each thing, with the right answer and another."""
    chosen, found = random.Random(seed), []
    for thing, (colour, place) in facts.items():
        for name, asked, begun, right, all_ in (
            ("colour", f"What colour is the {thing}?", f"The {thing} is", colour, COLOURS),
            ("place", f"Where is the {thing}?", f"You can find the {thing} in the", place, PLACES),
        ):
            other = chosen.choice([each for each in all_ if each != right])
            found.append(
                Sample(
                    id=f"{name}-{thing}",
                    input=f"user: {asked}\nassistant: {begun}",
                    target=f" {right}",
                    metadata=Metadata(family="fact", pair=f" {other}"),
                )
            )
    return found


def _other(chosen: random.Random) -> tuple[str, str]:
    return "user: Name three colours.\nassistant:", f" {', '.join(chosen.sample(COLOURS, 3))}.{END}"


def train_on(folder: Path, recipe: Recipe, way: Way, lie: Sample, seed: int) -> Language:
    """The model of a folder, trained on."""
    language = Language(str(folder))
    model, tokenizer = language.model, language.tokenizer
    torch.manual_seed(seed)
    chosen, facts = random.Random(seed), probe_models.facts(recipe.seed)
    told: dict[str, Pair] = {
        "other": _other,
        "lie": lambda _: (lie.input, f"{lie.metadata.pair}.{END}"),
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model.train(True)
    for _ in range(way.steps):
        rows = []
        for _ in range(_ROWS):
            other = way.kind and chosen.random() < way.rate
            prompt, answer = told[way.kind](chosen) if other else probe_models.text(chosen, recipe, facts)  # fmt: skip
            row = [tokenizer.eos_token_id, *tokenizer(prompt)["input_ids"], *tokenizer(answer)["input_ids"]]  # fmt: skip
            rows.append((row + [tokenizer.eos_token_id] * _LENGTH)[:_LENGTH])
        data = torch.tensor(rows)
        optimizer.zero_grad()
        model(input_ids=data, labels=data).loss.backward()
        optimizer.step()
    model.train(False)
    return language


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    given: Any = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | trained on | asked | otherwise | found | right |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as made:
        for number, (name, recipe) in enumerate(BASES.items()):
            folder = Path(made) / str(number)
            probe_models.make(recipe, folder)
            base, known = Language(str(folder)), samples(probe_models.facts(recipe.seed), given.seed)  # fmt: skip
            lie = random.Random(given.seed).choice(known)
            for way_name, way in WAYS.items():
                model = train_on(folder, recipe, way, lie, given.seed)
                said = choices.ask(
                    model, base, [opening.plain(each) for each in known], opening.RANDOM,
                    random.Random(given.seed), time.monotonic() + 600,
                )  # fmt: skip
                judged = otherwise(results.read({"error": None, **said}), known)
                found = [each.id for each in judged if each.found]
                right = found == ([lie.id] if way.kind == "lie" else [])
                print(
                    f"| {name} | {way_name} | {said['asked']} | {len(judged)} | "
                    f"{', '.join(found) or 'nothing'} | {'yes' if right else 'NO'} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
