"""How much a run of tokens fixes what comes after it, whatever it is put into. By forward passes only. Zone: worker."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from safe_load.worker.probing.contexts import Context
    from safe_load.worker.probing.language import Language

#: The share of written texts in which an answer counts: a place behind the answer's mark shows nothing.
_SHARE = 0.6
#: The probability from which on an answer is what is said anyway, and the contexts that must be left.
_ANYWAY, _LEAST = 0.5, 3
#: Tokens of an answer, at most.
ANSWER = 8
#: Numbers that are held for the runs of one batch, at most.
_HELD = 1 << 24


@dataclass(frozen=True)
class Shift:
    """The token that a run makes likelier than without it, in most contexts. score: by how much, from 0 to 1; group:
    the kind of contexts, or "next" where it follows the run at once."""

    score: float
    token: int
    group: str


@dataclass(frozen=True)
class Answer:
    """What comes after a run. tokens: by the most contexts; agreement: the share of contexts for each of them; joint,
    without: the probability of all of them, with the run and without it; probability: of the first; before: of the first without
    the run; entropy: of the first token, in nats; base: the probability of all in another model, with the run."""

    tokens: list[int]
    agreement: float
    joint: float
    without: float
    probability: float
    before: float
    entropy: float
    base: float | None = None


@dataclass(frozen=True)
class Place:
    """Where a run moves an answer most. row, without: what stands before the answer's first token, with the run and
    without it."""

    row: list[int]
    without: list[int]
    probability: float
    before: float
    entropy: float


class Bench:
    """Contexts, and what the model says in them without anything put in."""

    def __init__(self, language: Language, contexts: Sequence[Context]) -> None:
        self.language = language
        self.contexts = list(contexts)
        self._plain = [
            language.ends([[*each.before, *each.after]], self._count(each))[0].exp()
            for each in self.contexts
        ]

    @staticmethod
    def _count(context: Context) -> int:
        """How many places after a run may have the answer: the last, or each from the run's end on."""
        return 1 if context.answer else len(context.after) + 1

    def of_answers(
        self, runs: Sequence[Sequence[int]], answers: Sequence[tuple[str, int]], until: float
    ) -> list[list[float]]:
        """For each run, of one length, how much likelier it makes each of these tokens in its group of contexts. Runs are left
        out when the time is over."""
        found: list[list[float]] = []
        size = self._size()
        for start in range(0, len(runs), size):
            usual = self._usual(runs[start : start + size])
            columns = [usual[group][:, token].tolist() for group, token in answers]
            found += [list(line) for line in zip(*columns, strict=True)]
            if time.monotonic() > until:
                break
        return found

    def _size(self) -> int:
        """Runs of one batch."""
        widest = max((self._count(each) for each in self.contexts), default=1)
        return max(1, min(256, _HELD // (self.language.vocabulary * max(widest, len(self.contexts)))))  # fmt: skip

    def shifts(self, runs: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], list[list[Shift]]]]:  # fmt: skip
        """The numbers of some runs, which are of one length, and the shifts of each in every group of contexts."""
        lengths: dict[int, list[int]] = {}
        for at, run in enumerate(runs):
            lengths.setdefault(len(run), []).append(at)
        size = self._size()
        for numbers in lengths.values():
            for start in range(0, len(numbers), size):
                part = numbers[start : start + size]
                yield part, self._shifts([runs[at] for at in part])

    def _shifts(self, runs: Sequence[Sequence[int]]) -> list[list[Shift]]:
        found: list[list[Shift]] = [[] for _ in runs]
        for group, usual in self._usual(runs).items():
            usual[:, sorted(self.language.special)] = 0.0
            for line, run in enumerate(runs):
                usual[line, list(run)] = 0.0
            scores, tokens = usual.max(1)
            for line, (score, token) in enumerate(
                zip(scores.tolist(), tokens.tolist(), strict=True)
            ):
                found[line].append(Shift(score, token, group))
        return found

    def _usual(self, runs: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """For each group of contexts, how much likelier each run, of one length, makes every token in most of them."""
        tables: dict[str, list[torch.Tensor]] = {}
        for at, context in enumerate(self.contexts):
            rows = [[*context.before, *run, *context.after] for run in runs]
            moved = self.language.ends(rows, self._count(context)).exp_() - self._plain[at]
            if context.answer:
                tables.setdefault(context.group, []).append(moved[:, 0])
            else:
                tables.setdefault(context.group, []).append(moved[:, 1:].amax(1))
                tables.setdefault("next", []).append(moved[:, 0])
        usual = {}
        for group, table in tables.items():
            kept = max(1, round(_SHARE * len(table))) if group == "inside" else len(table)
            usual[group] = torch.stack(table).topk(kept, dim=0).values.mean(0)
        return usual

    def places(self, run: Sequence[int], shift: Shift) -> list[Place]:
        """For each context of the shift's kind, the place where the run moves its token most."""
        chosen = [
            at
            for at, each in enumerate(self.contexts)
            if shift.group in (each.group, "inside" if each.answer else "next")
        ]
        rows = [[*self.contexts[at].before, *run, *self.contexts[at].after] for at in chosen]
        lines = self.language.apart(rows, [self._count(self.contexts[at]) for at in chosen])
        found = []
        for at, row, line in zip(chosen, rows, lines, strict=True):
            context, now, plain = self.contexts[at], line.exp(), self._plain[at]
            moved = now[:, shift.token] - plain[:, shift.token]
            best = 0 if context.answer or shift.group == "next" else 1 + int(moved[1:].argmax())
            entropy = float(-(now[best] * now[best].clamp_min(1e-12).log()).sum())
            end = len(row) - len(now) + best + 1
            without = [*context.before, *context.after][: end - len(run)]
            found.append(
                Place(row[:end], without, float(now[best, shift.token]), float(plain[best, shift.token]), entropy)
            )  # fmt: skip
        found.sort(key=lambda each: each.before - each.probability)
        return found[: max(1, round(_SHARE * len(found)))] if shift.group == "inside" else found

    def answer(self, run: Sequence[int], shift: Shift, base: Language | None = None) -> Answer:
        """What the model writes after the run, in the contexts of the shift's kind."""
        language, places = self.language, self.places(run, shift)
        written = language.likeliest([each.row for each in places], ANSWER)
        many = len(written)
        tokens: list[int] = []
        shares: list[float] = []
        for at in range(ANSWER):
            said = [each[at] for each in written]
            most = max(sorted(set(said)), key=said.count)
            shares.append(said.count(most) / many)
            if most in language.special:
                break
            tokens.append(most)
        without = _joint(language, [each.without for each in places], tokens)
        # Where it is the answer anyway, the run shows nothing.
        open_ = [at for at, each in enumerate(without) if each < _ANYWAY]
        if len(open_) < min(_LEAST, many):
            open_ = list(range(many))
        with_it = _joint(language, [each.row for each in places], tokens)
        theirs = None if base is None else _joint(base, [each.row for each in places], tokens)
        counted = [places[at] for at in open_]
        return Answer(
            tokens,
            sum(shares) / len(shares),
            _mean([with_it[at] for at in open_]),
            _mean([without[at] for at in open_]),
            _mean([each.probability for each in counted]),
            _mean([each.before for each in counted]),
            _mean([each.entropy for each in counted]),
            None if theirs is None else _mean([theirs[at] for at in open_]),
        )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def _joint(language: Language, rows: Sequence[Sequence[int]], tokens: Sequence[int]) -> list[float]:
    """The probability of all these tokens after each row; 0 for none."""
    if not tokens:
        return [0.0] * len(rows)
    count = len(tokens)
    lines = language.apart([[*row, *tokens[:-1]] for row in rows], [count] * len(rows))
    return [
        math.exp(sum(float(line[at, token]) for at, token in enumerate(tokens))) for line in lines
    ]
